"""A portal, a DAG, and what a task is given when it runs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time import task_runner

from tests.portal.hook.faces import connect, lasting_portal, portal
from tests.unit.triggers.comms import Supervisor

__all__ = ["connect", "lasting_portal", "portal"]


@pytest.fixture
def dag():
    with DAG("dag") as made:
        yield made


@pytest.fixture
def context(dag):
    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="typing", map_index=-1, try_number=1, max_tries=0)
    return {"ti": ti, "task_instance": ti, "dag": dag, "run_id": "run", "params": {}}


@pytest.fixture
def supervised(monkeypatch):
    """Lets a task instance's supervisor answer; by default as that of a worker."""

    def play(supervisor):
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
        return supervisor

    play(Supervisor())
    return play
