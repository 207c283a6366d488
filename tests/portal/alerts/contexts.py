"""What Airflow gives to callbacks, made as Airflow makes it, and a supervisor that keeps Variables."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time.comms import (
    DeleteVariable,
    ErrorResponse,
    GetTaskStates,
    GetVariable,
    OKResponse,
    PutVariable,
    TaskStatesResult,
    VariableResult,
)
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from tests.unit.triggers.comms import Supervisor

NOON = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.timezone.utc)
URL = "http://localhost:8080/dags/sales/runs"


class Variables(Supervisor):
    """A supervisor that keeps Variables, for all who ask it.

    :ivar kept: their values by key.
    :ivar asked: what was read, written and deleted, in order.
    :ivar states: of the tasks of any run; None where the question is not answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, str] = {}
        self.asked: list[str] = []
        self.works = True
        self.states: dict[str, str | None] | None = None
        self._lock = threading.Lock()

    def send(self, message: Any) -> Any:
        with self._lock:
            if isinstance(message, GetTaskStates) and self.states is not None:
                return TaskStatesResult(task_states={message.run_ids[0]: self.states} if message.run_ids else {})
            if not isinstance(message, (GetVariable, PutVariable, DeleteVariable)):
                return super().send(message)
            self.asked.append(type(message).__name__.removesuffix("Variable"))
            if not self.works:
                raise ConnectionError("the supervisor has gone")
            if isinstance(message, PutVariable):
                self.kept[message.key] = message.value or ""
            elif isinstance(message, DeleteVariable):
                self.kept.pop(message.key, None)
            elif message.key in self.kept:
                return VariableResult(key=message.key, value=self.kept[message.key])
            else:
                return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
            return OKResponse(ok=True)


def run_of(
    dag_id: str = "sales", run_id: str = "scheduled__2026-05-04", *, state: str = "running", **more: Any
) -> DagRun:
    """A run as the API gives it."""
    return DagRun.model_validate(
        {
            "dag_id": "sales",
            "run_id": run_id,
            "logical_date": NOON,
            "data_interval_start": None,
            "data_interval_end": None,
            "run_after": NOON,
            "start_date": NOON,
            "end_date": None,
            "run_type": "scheduled",
            "state": state,
            "consumed_asset_events": [],
            "partition_key": None,
            **more,
        }
    )


def of_task(
    task_id: str = "load",
    *,
    state: str | None = "failed",
    error: BaseException | str | None = None,
    try_number: int = 1,
    max_tries: int = 0,
    map_index: int = -1,
    task: Any = None,
    **run: Any,
) -> dict[str, Any]:
    """The context of a task's callback.

    :param state: None as in the dag-processor, which has no exception either.
    """
    if task is None:
        with DAG("sales"):
            task = EmptyOperator(task_id=task_id)
    held = run_of(**run)
    ti = RuntimeTaskInstance.model_construct(
        id=uuid.uuid4(),
        task_id=task.task_id,
        dag_id="sales",
        run_id=held.run_id,
        try_number=try_number,
        map_index=map_index,
        max_tries=max_tries,
        state=state,
        start_date=NOON,
        end_date=NOON + dt.timedelta(seconds=12),
        task=task,
        _ti_context_from_server=TIRunContext.model_construct(dag_run=held, max_tries=max_tries),
    )
    context: dict[str, Any] = dict(ti.get_template_context())
    if state not in (None, "running"):
        context["exception"] = error
    return context


def of_dag(reason: str = "task_failure", *, state: str = "failed", dag: Any = None, **run: Any) -> dict[str, Any]:
    """The context of a DAG's callback."""
    dag = dag or DAG("sales")
    return {"dag": dag, "dag_run": run_of(state=state, **run), "run_id": "scheduled__2026-05-04", "reason": reason}


def of_deadline(number: str = "0193") -> dict[str, Any]:
    """The context of a deadline's callback."""
    run = {"dag_id": "sales", "dag_run_id": "scheduled__2026-05-04", "run_after": NOON.isoformat(), "state": "running"}
    return {"dag_run": run, "deadline": {"id": number, "deadline_time": NOON}}
