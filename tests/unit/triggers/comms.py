"""What Airflow's supervisor answers to a task or a trigger: nothing but this is played."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    GetConnection,
    GetTaskStates,
    GetVariable,
    OKResponse,
    PutVariable,
    TaskStatesResult,
    VariableResult,
)

Instances = Iterable[tuple[str, int, str | None]]
"""Task id, map index (-1 for a task that is not mapped) and state of task instances."""


class Supervisor:
    """Answers as Airflow 3.2 and 3.3 do.

    :param instances: the task instances of the run ``RUN`` of the DAG ``DAG``, or what tells them at each question.
    """

    def __init__(self, instances: Instances | Callable[[], Instances] = ()) -> None:
        self._instances = instances if callable(instances) else lambda: instances
        self.questions: list[GetTaskStates] = []

    def send(self, message: Any) -> Any:
        if isinstance(message, GetTaskStates):
            self.questions.append(message)
            assert (message.dag_id, message.run_ids) == ("dag", ["run"])
            states = {
                task_id if map_index < 0 else f"{task_id}_{map_index}": state
                for task_id, map_index, state in self._instances()
                if task_id in (message.task_ids or ())
            }
            return TaskStatesResult(task_states={"run": states} if states else {})
        if isinstance(message, GetConnection):
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": message.conn_id})
        return None

    async def asend(self, message: Any) -> Any:
        return self.send(message)


class KeepingSupervisor(Supervisor):
    """One that has Variables as well.

    :ivar variables: their texts by key.
    """

    def __init__(self) -> None:
        super().__init__()
        self.variables: dict[str, str] = {}

    def send(self, message: Any) -> Any:
        if isinstance(message, PutVariable):
            self.variables[message.key] = str(message.value)
            return OKResponse(ok=True)
        if isinstance(message, GetVariable):
            if message.key in self.variables:
                return VariableResult(key=message.key, value=self.variables[message.key])
            return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": message.key})
        return super().send(message)


class InProcessSupervisor:
    """What there is in ``dag.test()``, where tasks run one by one: it can not be awaited."""

    def send(self, message: Any) -> Any:
        return Supervisor().send(message)
