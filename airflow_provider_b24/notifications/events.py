"""What a callback is told, read as an event. Nothing in a context can be relied upon to be there."""

from __future__ import annotations

import datetime as dt
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow_provider_b24.chat.alerts import Event, Kind

_LONGEST_ERROR = 500
# Within so many seconds two callbacks that do not know their task are about one event.
_NAMELESS = 600.0


def event_of(context: Mapping[str, Any], now: float) -> Event:
    """What has happened, without the words of its exception.

    :param context: of a callback of a task, a DAG or a deadline, or of an operator that waits for a decision.
    :param now: the time (epoch seconds).
    """
    from airflow_provider_b24.chat.alerts import Event

    ti = context.get("ti") or context.get("task_instance")
    run = context.get("dag_run")
    dag_id = _first(_field(run, "dag_id"), _field(ti, "dag_id"), _field(context.get("dag"), "dag_id"), "?")
    run_id = _first(_field(run, "run_id"), _field(run, "dag_run_id"), context.get("run_id"), _field(ti, "run_id"), "")
    log_url = _quietly(lambda: str(ti.log_url)) if ti is not None else None
    run_url = _run_url(dag_id, run_id, log_url)
    began = _first(*(_epoch(_field(run, name)) for name in ("run_after", "logical_date", "start_date")), 0.0)
    about_run: dict[str, Any] = {"dag_id": dag_id, "run_id": run_id, "run_url": run_url, "began": began, "at": now}
    # A run that is cleared may fail again.
    about_run["clears"] = _number(_field(run, "clear_number"), 0)
    deadline = context.get("deadline")
    if deadline is not None:
        due = _epoch(_field(deadline, "deadline_time"))
        return Event(kind="deadline", life=str(_field(deadline, "id") or due), due=due, **about_run)
    if "reason" in context:
        succeeded = _succeeded(run, context["reason"])
        return Event(
            kind="dag_success" if succeeded else "dag_failure",
            failed=() if succeeded else _failed(context, dag_id, run_id, run_url),
            reason=str(context["reason"] or ""),
            life=str(about_run["clears"]),
            seconds=_between(_field(run, "start_date"), _field(run, "end_date") or now),
            **about_run,
        )
    task = context.get("task")
    kind = _kind(context, ti, task)
    mapped = _number(_field(ti, "map_index"), -1)
    life = ""
    if ti is None:
        # What else tells one such event from another: its words, and when it was.
        life = f"{last_line(context.get('exception'))[:_LONGEST_ERROR]} {int(now // _NAMELESS)}"
    about_task: dict[str, Any] = {
        "kind": kind,
        "task_id": _first(_field(ti, "task_id"), _field(task, "task_id"), ""),
        "map_index": mapped,
        "try_number": _number(_field(ti, "try_number"), 0),
        "log_url": log_url or "",
        "life": life,
    }
    if kind == "decision":
        about_task["log_url"] = _decision_url(context, run_url.partition("/dags/")[0]) or log_url or ""
        about_task["subject"] = str(_field(task, "subject") or "")
        about_task["body"] = str(_field(task, "body") or "")
        about_task["options"] = tuple(map(str, _field(task, "options") or ()))
    else:
        most = _field(ti, "max_tries")
        about_task["tries"] = most + 1 if isinstance(most, int) else 0
        about_task["seconds"] = _between(_field(ti, "start_date"), _field(ti, "end_date") or now)
    return Event(**about_task, **about_run)


def last_line(error: object) -> str:
    """An exception's type and the last line of what it says; an exception may be a text as well."""
    if error is None:
        return ""
    if not isinstance(error, BaseException):
        lines = [line for line in str(error).splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""
    text = _quietly(lambda: "".join(traceback.format_exception_only(error))) or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    name = type(error).__name__
    # Airflow's own modules are of no interest in a chat; where there are several lines, the type is in the first.
    first = lines[0].removeprefix(f"{type(error).__module__}.")
    return first if len(lines) == 1 else f"{name}: … {lines[-1]}"


def shortened(text: str) -> str:
    """Not more of an exception's words than are read in a chat."""
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}…"


def _kind(context: Mapping[str, Any], ti: Any, task: Any) -> Kind:
    state = str(getattr(_field(ti, "state"), "value", _field(ti, "state")) or "")
    known: dict[str, Kind] = {"success": "success", "skipped": "skipped", "up_for_retry": "retry", "failed": "failure"}
    if state in known:
        return known[state]
    if state == "running" and "exception" not in context:
        waits = all(_field(task, name) is not None for name in ("subject", "options"))
        return "decision" if waits else "running"
    # The dag-processor does not say: what lost its heartbeat is tried again while there are tries left.
    tried, most = _field(ti, "try_number"), _field(ti, "max_tries")
    if context.get("exception") is None and isinstance(tried, int) and isinstance(most, int) and 0 < most >= tried:
        return "retry"
    return "failure"


def _failed(context: Mapping[str, Any], dag_id: str, run_id: str, run_url: str) -> tuple[tuple[str, str], ...]:
    """The failed tasks of a run and their logs: the one that Airflow names, and those that it knows if it is asked."""
    from airflow_provider_b24.notifications.run_context import RunFacts, state_of, states_of

    states = (_quietly(lambda: states_of(context, RunFacts(dag_id, run_id))) if run_id else None) or {}
    known = set(_quietly(lambda: context["dag"].task_ids) or ())
    found: dict[str, str] = {}
    ti = context.get("ti") or context.get("task_instance")
    if ti is not None and (task_id := str(_field(ti, "task_id") or "")):
        # Airflow names the last task that mattered, and may not say what became of it.
        index = _number(_field(ti, "map_index"), -1)
        state = _quietly(lambda: state_of(ti)) or states.get(f"{task_id}_{index}" if index >= 0 else task_id)
        if (state or ("failed" if context["reason"] == "task_failure" else "")) == "failed":
            found[_shown(task_id, index)] = str(_quietly(lambda: ti.log_url) or "")
    for key, state in states.items():
        if state != "failed":
            continue
        # So Airflow names the parts of a mapped task.
        task_id, _, number = key.rpartition("_")
        mapped = key not in known and task_id in known and number.isdecimal()
        index = int(number) if mapped else -1
        task_id = task_id if mapped else key
        part = f"/mapped/{index}" if mapped else ""
        found.setdefault(_shown(task_id, index), f"{run_url}/tasks/{quote(task_id)}{part}" if run_url else "")
    return tuple(found.items())


def _shown(task_id: str, map_index: int) -> str:
    return f"{task_id}[{map_index}]" if map_index >= 0 else task_id


def _succeeded(run: Any, reason: object) -> bool:
    state = _field(run, "state")
    state = str(getattr(state, "value", state) or "")
    return state == "success" if state in ("success", "failed") else str(reason) == "success"


def _run_url(dag_id: str, run_id: str, log_url: str | None) -> str:
    """The page of the run; where nobody has said where Airflow is, it is where the log is."""
    from airflow_provider_b24.notifications.run_context import RunFacts

    url = _quietly(lambda: RunFacts(dag_id, run_id).url) if run_id else ""
    return str(url or (log_url or "").partition("/tasks/")[0])


def _decision_url(context: Mapping[str, Any], base_url: str) -> str | None:
    from airflow.providers.standard.operators.hitl import HITLOperator

    made: Any = context
    found = _quietly(lambda: HITLOperator.generate_link_to_ui_from_context(context=made, base_url=base_url or None))
    return None if found is None else str(found)


def _field(thing: Any, name: str) -> Any:
    """An attribute, or what a mapping has under the name; None where there is none."""
    if isinstance(thing, Mapping):
        return thing.get(name)
    return _quietly(lambda: getattr(thing, name, None))


def _quietly(question: Callable[[], Any]) -> Any:
    # Whatever a context is made of: that a detail can not be told is no reason to tell nothing.
    with suppress(Exception):
        return question()
    return None


def _first(*values: Any) -> Any:
    return next((value for value in values if value), values[-1])


def _number(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _epoch(value: Any) -> float | None:
    if isinstance(value, str):
        value = _quietly(lambda: dt.datetime.fromisoformat(value.replace("Z", "+00:00")))
    if isinstance(value, dt.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)).timestamp()
    return None


def _between(start: Any, end: Any) -> float | None:
    begun, ended = _epoch(start), end if isinstance(end, float) else _epoch(end)
    return None if begun is None or ended is None else max(0.0, ended - begun)
