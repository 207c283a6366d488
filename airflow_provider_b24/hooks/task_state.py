"""What a task leaves for its own later tries: Airflow's task state store, where there is one (Airflow 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class TaskState:
    """``task_state_store`` as a mapping of JSON values."""

    def __init__(self, accessor: Any) -> None:
        self._accessor = accessor

    def get(self, key: str) -> Any:
        """The value, or None."""
        return self._accessor.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._accessor.set(key, value)


def task_state(context: Mapping[str, Any]) -> TaskState | None:
    """The store of the task that is running; None on Airflow 3.2, which has none."""
    try:
        return TaskState(context["task_state_store"])
    except KeyError:
        return None


def life_of(context: Mapping[str, Any]) -> str:
    """What all tries of a task have in common until it is cleared: a clear raises ``max_tries``, a retry does not."""
    return str(getattr(context.get("ti"), "max_tries", None))


def tried_before(context: Mapping[str, Any]) -> bool:
    """Whether an earlier try may have done something, since the task was cleared last; for where there is no store."""
    ti: Any = context.get("ti")
    most, retries = getattr(ti, "max_tries", None), getattr(getattr(ti, "task", None), "retries", None)
    return most is not None and retries is not None and ti.try_number > most - retries + 1
