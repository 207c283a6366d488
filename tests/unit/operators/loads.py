"""What the tests of loading operators stand on: tasks, runs, and deals that change as portal time passes."""

from __future__ import annotations

import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

from airflow_provider_b24.testing import FakePortal
from airflow_provider_b24.testing.tables import Table


class Store:
    """A task's state store: what is kept in it has been JSON."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, key: str) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else None

    def set(self, key: str, value: Any) -> None:
        self.kept[key] = json.dumps(value)


class Killed(BaseException):
    """The task's process is gone."""


def run_of(run_id: str = "run", *, kind: str = "scheduled", store: Store | None = None, **more: Any) -> dict[str, Any]:
    """What a task is given in a run.

    :param store: its state store; None for Airflow 3.2.
    """
    ti = SimpleNamespace(dag_id="dag", run_id=run_id, task_id="load", map_index=-1, try_number=1, max_tries=2)
    context: dict[str, Any] = {"ti": ti, "task_instance": ti, "run_id": run_id, "params": {}}
    context["dag_run"] = SimpleNamespace(run_type=kind, run_id=run_id)
    return context | ({} if store is None else {"task_state_store": store}) | more


def deals_anew(portal: FakePortal, count: int) -> None:
    """So many deals, in place of those that there were."""
    with portal.company.lock:
        tables = portal.company.crm.tables
        tables[2] = Table(tables[2].fields)
    portal.add_deals(count)


def change(portal: FakePortal, deal_id: int, **fields: Any) -> None:
    """Somebody changes a deal now, by the portal's clock."""
    with portal.company.lock:
        crm = portal.company.crm
        crm.update(2, crm.tables[2].rows[deal_id], fields, 1)


def deals(portal: FakePortal) -> dict[int, dict[str, Any]]:
    """All deals of the portal by id."""
    return {key: dict(row) for key, row in portal.company.crm.tables[2].rows.items()}


def moment(portal: FakePortal) -> dt.datetime:
    """The portal's time, to the second."""
    return portal.company.now().replace(microsecond=0)
