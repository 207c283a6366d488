"""What is known of a DAG run beyond what Airflow tells at any time, and how events add to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_provider_b24.chat.run_message import FINISHED, Failure, RunView, Tasks

_MOST_FAILURES = 3

_FAILED = frozenset({"failed", "upstream_failed"})
# What becomes of a task that has not begun, by its trigger rule: whether a failure before it, or a skipped task, keeps
# it from running. A task with another rule may run all the same.
_HELD_BY: Mapping[str, tuple[bool, bool]] = {
    "all_success": (True, True),
    "none_failed": (True, False),
    "none_failed_min_one_success": (True, False),
}


@dataclass(frozen=True)
class Event:
    """Something that happened in a run.

    :ivar life: how often the run was cleared before.
    :ivar at: when (epoch seconds).
    :ivar task: the task that it happened to, by the name that is shown.
    :ivar state: of that task, or, where ``end`` is set, of the run.
    :ivar end: whether the run has ended with it.
    :ivar certain: whether Airflow said so; otherwise it was concluded from the states of the tasks.
    :ivar reason: why the run ended so, in Airflow's words.
    :ivar failure: how the task failed.
    :ivar started: when the run began (epoch seconds).
    :ivar progress: 0 to 1, as somebody tells it; None for no news, below 0 to go by the tasks again.
    :ivar text: a line that somebody wants shown; None for no news.
    """

    life: int
    at: float
    task: str = ""
    state: str = ""
    end: bool = False
    certain: bool = False
    failure: Failure | None = None
    started: float | None = None
    progress: float | None = None
    text: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Known:
    life: int = 0
    begun: bool = False
    ended: str = ""
    certain: bool = False
    at: float = 0.0
    started: float | None = None
    progress: float | None = None
    text: str = ""
    reason: str = ""
    failures: Sequence[Mapping[str, Any]] = field(default_factory=list)


def add(known: Mapping[str, Any], events: Iterable[Event]) -> dict[str, Any] | None:
    """What is known with these events; None if they are all outdated.

    What has ended stays so, whatever comes in late, until the run is cleared and goes on.

    :param known: what this returned before; empty at first.
    """
    added = False
    for event in events:
        now = _add(_known(known), event)
        if now is not None:
            known, added = now, True
    return dict(known) if added else None


def _add(known: _Known, event: Event) -> dict[str, Any] | None:
    made = asdict(known)
    by_task = bool(event.task) or event.progress is not None or event.text is not None
    if known.begun and not by_task and not event.end and event.life <= known.life:
        # That the run has begun is no news, and may come from where nobody knows how its tasks stand.
        return None
    if known.ended:
        if event.life > known.life:
            made |= asdict(_Known())
        elif not event.end or event.life < known.life:
            return None
        elif event.state == known.ended or known.certain:
            reason = known.reason if known.certain else event.reason or known.reason
            return made | {"certain": known.certain or event.certain, "reason": reason}
    made["life"] = max(event.life, known.life)
    made["begun"] = made["begun"] or by_task
    if event.started is not None:
        made["started"] = event.started
    if event.progress is not None:
        made["progress"] = event.progress if event.progress >= 0 else None
    if event.text is not None:
        made["text"] = event.text
    failures = [one for one in made["failures"] if one["task"] != event.task or event.state not in FINISHED]
    if event.failure is not None:
        failure = event.failure
        known_before = any(one["task"] == failure.task and not one["again"] for one in failures)
        # The run's own end tells less of a task than the task itself has told.
        if not (event.end and known_before):
            failures = [asdict(failure), *(one for one in failures if one["task"] != failure.task)]
    if event.end:
        failures = [one for one in failures if not one["again"] and event.state == "failed"]
        made |= {"ended": event.state, "certain": event.certain, "at": event.at, "reason": event.reason}
    made["failures"] = failures[:_MOST_FAILURES]
    return made


def view_of(
    known: Mapping[str, Any], *, dag_id: str, run_id: str, tasks: Tasks, url: str = "", anew: bool = False
) -> RunView:
    """What is shown of it.

    :param tasks: how the tasks stand now.
    :param anew: whether the message is new, so that it shows by itself when the run has ended.
    """
    of = _known(known)
    begun = of.begun or tasks.current or tasks.done or not tasks.total
    return RunView(
        dag_id,
        run_id,
        of.ended or ("running" if begun else "queued"),
        tasks,
        of.progress,
        of.text,
        tuple(Failure(**one) for one in of.failures),
        max(0.0, of.at - of.started) if of.ended and of.started is not None else None,
        of.at if of.ended and not anew else None,
        url,
        of.reason,
    )


@dataclass(frozen=True)
class Part:
    """A task of the DAG.

    :ivar rule: its trigger rule.
    :ivar after: the ids of the tasks right before it.
    :ivar decides: whether the run may fail with it; not so for most teardowns.
    """

    rule: str = "all_success"
    after: frozenset[str] = frozenset()
    decides: bool = True


def outcome(states: Mapping[str, str | None], parts: Mapping[str, Part]) -> str:
    """How a run has ended, from the states of its tasks; empty if it has not, or that can not be told.

    Tasks that have not begun count as over where a failure before them keeps them from it; the scheduler will say so
    later.

    :param states: by task id, and by ``<task id>_<map index>`` for mapped tasks.
    """
    own: dict[str, set[str]] = {}
    for key, state in states.items():
        head, _, number = key.rpartition("_")
        task_id = key if key in parts else head if number.isdecimal() and head in parts else ""
        if not task_id:
            return ""
        if state != "removed":
            own.setdefault(task_id, set()).add(str(state or ""))
    # However the tasks are sorted, each round settles those right after what is settled.
    for _ in own:
        settled = {task_id: _held(task_id, seen, own, parts) for task_id, seen in own.items()}
        if settled == own:
            break
        own = settled
    if not own or any(not seen <= FINISHED for seen in own.values()):
        return ""
    # A teardown is not what a run is for: the tasks before it decide.
    before = frozenset().union(*(part.after for part in parts.values() if part.decides))
    leaves = [task_id for task_id in own if task_id not in before and parts[task_id].decides]
    return "failed" if any(own[task_id] & _FAILED for task_id in leaves) else "success"


def _held(task_id: str, seen: set[str], own: Mapping[str, set[str]], parts: Mapping[str, Part]) -> set[str]:
    """The states of a task that has not begun and is kept from it by what was before it; else those it has."""
    part = parts[task_id]
    if seen != {""} or part.rule not in _HELD_BY:
        return seen
    before: set[str] = set().union(*(own.get(one, set()) for one in part.after))
    by_failure, by_skip = _HELD_BY[part.rule]
    if by_failure and before & _FAILED:
        return {"upstream_failed"}
    if by_skip and "skipped" in before and before <= FINISHED:
        return {"skipped"}
    return seen


def _known(kept: Mapping[str, Any]) -> _Known:
    names = _Known.__dataclass_fields__
    return _Known(**{name: value for name, value in kept.items() if name in names})
