"""Looking at other tasks of the same run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WORKING = frozenset({"running", "deferred"})
FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


@dataclass(frozen=True)
class Siblings:
    """Where the watched tasks stand.

    :ivar working: whether one of them is running or deferred, not waiting for a slot or a retry.
    :ivar finished: whether all of them are, however they ended.
    """

    working: bool
    finished: bool

    @classmethod
    def of(cls, states: Iterable[str | None]) -> Siblings:
        """Sum up the states of one task's instances; where there are none, it is not in the run any more, and over."""
        seen = [str(state) for state in states]
        return cls(any(state in WORKING for state in seen), all(state in FINISHED for state in seen))

    @classmethod
    def together(cls, parts: Iterable[Siblings]) -> Siblings:
        """Sum up several tasks."""
        seen = list(parts)
        return cls(any(part.working for part in seen), all(part.finished for part in seen))


Stands = dict[str, Siblings]
"""How tasks stand, by id."""


def questions(task_ids: Sequence[str]) -> list[list[str]]:
    """Which tasks may be asked for together.

    Part 1 of a mapped task ``build`` and a task ``build_1`` have the same key in Airflow's answer; such tasks are asked
    for in two questions.
    """
    known = set(task_ids)

    def depth(task_id: str) -> int:
        prefix = _part_of(task_id)
        return depth(prefix) + 1 if prefix != task_id and prefix in known else 0

    groups: tuple[list[str], list[str]] = ([], [])
    for task_id in task_ids:
        groups[depth(task_id) % 2].append(task_id)
    return [group for group in groups if group]


def stands_of(task_ids: Iterable[str], states: Mapping[str, str | None]) -> Stands:
    """How tasks stand that were asked for together.

    :param states: state by task id; the parts of an expanded mapped task as ``<task id>_<map index>``.
    """
    own: dict[str, list[str | None]] = {task_id: [] for task_id in task_ids}
    for key, state in states.items():
        task_id = key if key in own else _part_of(key)
        if task_id in own:
            own[task_id].append(state)
    return {task_id: Siblings.of(found) for task_id, found in own.items()}


def look(dag_id: str, run_id: str, task_ids: Sequence[str]) -> Siblings:
    """How tasks stand together, asked from inside a task of their run."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    stands: Stands = {}
    for names in questions(task_ids):
        states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=names, run_ids=[run_id])
        stands |= stands_of(names, states.get(run_id) or {})
    return Siblings.together(stands.values())


async def alook(dag_id: str, run_ids: Sequence[str], task_ids: Sequence[str]) -> dict[str, Stands]:
    """How tasks stand in several runs of a DAG, by run, asked from inside a trigger.

    :raises TypeError: for an answer of another kind, which must not be taken for an empty one.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult

    stands: dict[str, Stands] = {run_id: {} for run_id in run_ids}
    for names in questions(task_ids):
        message = GetTaskStates(dag_id=dag_id, task_ids=names, run_ids=list(run_ids))
        answer = await task_runner.SUPERVISOR_COMMS.asend(message)
        if not isinstance(answer, TaskStatesResult):
            raise TypeError(f"{type(answer).__name__} in answer to {type(message).__name__}")
        for run_id in run_ids:
            stands[run_id] |= stands_of(names, answer.task_states.get(run_id) or {})
    return stands


def can_look_from_trigger() -> bool:
    """Whether tasks of this run go on beside a waiting one; ``dag.test()`` runs them one after another."""
    from airflow.sdk.execution_time import task_runner

    return hasattr(getattr(task_runner, "SUPERVISOR_COMMS", None), "asend")


def _part_of(key: str) -> str:
    """The mapped task, if the key is that of its part."""
    return re.sub(r"_\d+$", "", key)
