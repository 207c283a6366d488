"""Looking at other tasks of the same run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    def of(cls, task_ids: Iterable[str], states: Mapping[str, str | None]) -> Siblings:
        """Sum up what Airflow says.

        :param states: state by task id; the parts of an expanded mapped task as ``<task id>_<map index>``.
            A task of which nothing is said is not in the run any more, and counts as finished.
        """
        own = {
            task_id: [state for key, state in states.items() if re.fullmatch(rf"{re.escape(task_id)}(_\d+)?", key)]
            for task_id in task_ids
        }
        seen = [str(state) for found in own.values() for state in found]
        return cls(any(state in WORKING for state in seen), all(state in FINISHED for state in seen))


def questions(task_ids: Sequence[str]) -> list[list[str]]:
    """Which tasks may be asked for together.

    Part 1 of a mapped task ``build`` and a task ``build_1`` have the same key in Airflow's answer; such tasks
    are asked for one by one.
    """
    prefixes = {task_id: re.sub(r"_\d+$", "", task_id) for task_id in task_ids}
    alone = {task_id for task_id, prefix in prefixes.items() if prefix != task_id and prefix in prefixes}
    alone |= {prefixes[task_id] for task_id in alone}
    together = [task_id for task_id in task_ids if task_id not in alone]
    return [[task_id] for task_id in task_ids if task_id in alone] + ([together] if together else [])


def look(dag_id: str, run_id: str, task_ids: Sequence[str]) -> Siblings:
    """The state of other tasks, asked from inside a task."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return _sum_up(
        (names, RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=names, run_ids=[run_id]).get(run_id))
        for names in questions(task_ids)
    )


async def alook(dag_id: str, run_id: str, task_ids: Sequence[str]) -> Siblings:
    """The state of other tasks, asked from inside a trigger.

    :raises TypeError: for an answer of another kind, which must not be taken for an empty one.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult

    answers = []
    for names in questions(task_ids):
        message = GetTaskStates(dag_id=dag_id, task_ids=names, run_ids=[run_id])
        answer = await task_runner.SUPERVISOR_COMMS.asend(message)
        if not isinstance(answer, TaskStatesResult):
            raise TypeError(f"{type(answer).__name__} in answer to {type(message).__name__}")
        answers.append((names, answer.task_states.get(run_id)))
    return _sum_up(answers)


def can_look_from_trigger() -> bool:
    """Whether tasks of this run go on beside a waiting one; ``dag.test()`` runs them one after another."""
    from airflow.sdk.execution_time import task_runner

    return hasattr(getattr(task_runner, "SUPERVISOR_COMMS", None), "asend")


def _sum_up(answers: Iterable[tuple[list[str], Any]]) -> Siblings:
    parts = [Siblings.of(names, states or {}) for names, states in answers]
    return Siblings(any(part.working for part in parts), all(part.finished for part in parts))
