"""What a callback's context tells of a run: some of it may be missing, and what is there may be a dict."""

from __future__ import annotations

import datetime as dt
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow_provider_b24.chat.run_message import Failure
from airflow_provider_b24.chat.run_record import Event, Part, outcome

log = logging.getLogger(__name__)

# The most characters of an error that are shown: it is one line of several.
_LONGEST_ERROR = 300
# So much of it is looked at; a secret in it is known only as a whole.
_LONGEST_LINE = 5000
_ENDED = ("success", "failed", "skipped", "up_for_retry")


@dataclass(frozen=True)
class RunFacts:
    """A run.

    :ivar life: how often it was cleared.
    :ivar started: when it began, in this life (epoch seconds).
    :ivar ended: when it ended, if it has.
    """

    dag_id: str
    run_id: str
    life: int = 0
    started: float | None = None
    ended: float | None = None

    @property
    def url(self) -> str:
        """Where Airflow shows it; empty where its address is not set."""
        from airflow.sdk.configuration import conf

        base = conf.get("api", "base_url", fallback="") or ""
        return f"{base.rstrip('/')}/dags/{quote(self.dag_id)}/runs/{quote(self.run_id, safe='')}" if base else ""


def facts_of(context: Mapping[str, Any]) -> RunFacts | None:
    """The run that a context is of; None if it does not say."""
    run, ti = context.get("dag_run"), context.get("ti")
    dag_id = _of(run, "dag_id") or _of(ti, "dag_id") or _of(context.get("dag"), "dag_id")
    run_id = _of(run, "run_id") or _of(run, "dag_run_id") or _of(ti, "run_id") or context.get("run_id")
    if not dag_id or not run_id:
        return None
    life = _of(run, "clear_number")
    return RunFacts(
        str(dag_id),
        str(run_id),
        life if isinstance(life, int) else 0,
        _seconds(_of(run, "start_date")),
        _seconds(_of(run, "end_date")),
    )


def event_of(context: Mapping[str, Any], facts: RunFacts, now: float, excerpt: Callable[[str], str]) -> Event:
    """What has happened, by the context of a callback.

    :param now: epoch seconds.
    :param excerpt: makes somebody else's words fit for a message.
    """
    run, ti = context.get("dag_run"), context.get("ti")
    if "reason" in context:
        # Only callbacks of a DAG have one. What it calls a task is the last one that mattered.
        failed = context["reason"] != "success" and state_of(run) != "success"
        failure = _failure(ti, "", again=False) if failed and state_of(ti) == "failed" else None
        return Event(
            facts.life,
            facts.ended or now,
            state="failed" if failed else "success",
            end=True,
            certain=True,
            failure=failure,
            started=facts.started,
            reason=str(context["reason"]),
        )
    state = state_of(ti)
    if ti is None:
        return Event(facts.life, now, started=facts.started)
    failure = None
    if state in ("failed", "up_for_retry") or (not state and context.get("exception") is not None):
        error = excerpt(_first_line(context.get("exception")))
        failure = _failure(ti, error, again=state == "up_for_retry")
    return Event(facts.life, now, task=_name(ti), state=state, failure=failure, started=facts.started)


def end_of(context: Mapping[str, Any], facts: RunFacts, states: Mapping[str, str | None], now: float) -> Event | None:
    """The end of the run, if it can be told from its tasks that this is the last of them."""
    ti = context.get("ti")
    dag = context.get("dag") or _of(_of(ti, "task"), "dag")
    if state_of(ti) not in _ENDED or not states or dag is None:
        return None
    ended = outcome(states, {task_id: _part(task) for task_id, task in dag.task_dict.items()})
    if not ended:
        return None
    return Event(facts.life, now, state=ended, end=True, started=facts.started)


def states_of(context: Mapping[str, Any], facts: RunFacts) -> dict[str, str | None]:
    """The states of the run's tasks, as Airflow says now; nothing where it can not be asked."""
    task_runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    if getattr(task_runner, "SUPERVISOR_COMMS", None) is None:
        return {}
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        found = RuntimeTaskInstance.get_task_states(dag_id=facts.dag_id, run_ids=[facts.run_id])
    except Exception as error:
        log.info("The states of the run's tasks could not be read: %s", type(error).__name__)
        return {}
    states: dict[str, str | None] = {str(key): _word(state) for key, state in found.get(facts.run_id, {}).items()}
    ti: Any = context.get("ti")
    own = state_of(ti)
    if own and "reason" not in context:
        # That a task has failed is told to others only when its process has ended.
        number = _of(ti, "map_index")
        mapped = isinstance(number, int) and number >= 0
        states[f"{ti.task_id}_{number}" if mapped else ti.task_id] = own
    return states


def state_of(source: Any) -> str:
    """The state of a task or a run; empty where it has none."""
    return _word(_of(source, "state")) or ""


def _word(state: Any) -> str | None:
    # As text, the states of the SDK have the name of their class before them.
    return None if state is None else str(getattr(state, "value", state))


def task_ids_of(context: Mapping[str, Any]) -> list[str]:
    """The tasks of the DAG, as far as the context tells."""
    dag = context.get("dag") or _of(_of(context.get("ti"), "task"), "dag")
    return list(_of(dag, "task_ids") or ())


def _failure(ti: Any, error: str, *, again: bool) -> Failure:
    number, most = _of(ti, "try_number"), _of(ti, "max_tries")
    return Failure(
        _name(ti),
        error,
        number if isinstance(number, int) else 0,
        most + 1 if isinstance(most, int) else 0,
        again,
        str(_of(ti, "log_url") or ""),
    )


def _name(ti: Any) -> str:
    number = _of(ti, "map_index")
    return f"{_of(ti, 'task_id')} [{number}]" if isinstance(number, int) and number >= 0 else str(_of(ti, "task_id"))


def _first_line(exception: object) -> str:
    """What an exception says, with its kind, in one line."""
    if exception is None:
        return ""
    kind = f"{type(exception).__name__}: " if isinstance(exception, BaseException) else ""
    lines = str(exception).strip().splitlines()
    return (kind + lines[0] if lines else kind.rstrip(": "))[:_LONGEST_LINE]


def shortened(line: str) -> str:
    """An error as long as it may be shown."""
    return line if len(line) <= _LONGEST_ERROR else f"{line[:_LONGEST_ERROR]}…"


def _part(task: Any) -> Part:
    rule = getattr(task, "trigger_rule", "all_success")
    decides = not getattr(task, "is_teardown", False) or bool(getattr(task, "on_failure_fail_dagrun", False))
    return Part(str(getattr(rule, "value", rule)), frozenset(task.upstream_task_ids), decides)


def _of(source: Any, name: str) -> Any:
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)


def _seconds(moment: object) -> float | None:
    if isinstance(moment, str):
        try:
            moment = dt.datetime.fromisoformat(moment.replace("Z", "+00:00"))
        except ValueError:
            return None
    return moment.timestamp() if isinstance(moment, dt.datetime) else None
