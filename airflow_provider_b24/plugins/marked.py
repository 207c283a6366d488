"""Listens for tasks with the param ``bitrix24_typing`` and for DAGs with a tag such as ``bitrix24:chat2935``.

What happens to tasks is heard in their own processes; that the work waits for it is bounded, as with callbacks. That a
run begins or ends is heard in the scheduler's loop, or in the API server where a person has marked it. Nothing is done
there but to put it into a queue; a thread takes it from there.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow_provider_b24.notifications.run_message import RunMessage

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Callable[..., None])

PARAM = "bitrix24_typing"
# With the default connection, or with one that is named.
TAG = re.compile(r"bitrix24(?:@(?P<connection>[^:]+))?:(?P<dialog>.+)")

# How many words about runs may wait to be told, and for how many seconds they are waited for when the process ends.
_MOST_WAITING, _DRAIN_SECONDS = 200, 5.0

_lit = ExitStack()
_complaints: set[str] = set()


def quiet(hook: T) -> T:
    """Nothing that goes wrong here reaches Airflow; each kind is told once."""

    @wraps(hook)
    def heard(**arguments: Any) -> None:
        try:
            hook(**arguments)
        except Exception as error:
            from airflow_provider_b24.rest.errors import Bitrix24Error

            told = str(error) if isinstance(error, Bitrix24Error) else type(error).__name__
            if told not in _complaints:
                _complaints.add(told)
                log.warning("The listener for Bitrix24 could not do its part; the work goes on. %s", told)

    return heard  # type: ignore[return-value]


@hookimpl
def on_task_instance_running(previous_state: Any, task_instance: Any) -> None:
    """A task begins, or goes on after it was deferred."""
    _light(task_instance=task_instance)
    _tell(task_instance=task_instance, error=None)


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """A task has succeeded."""
    _lit.close()
    _tell(task_instance=task_instance, error=None)


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """A try of a task has failed."""
    _lit.close()
    _tell(task_instance=task_instance, error=error)


@hookimpl
def on_task_instance_skipped(previous_state: Any, task_instance: Any) -> None:
    """A task has skipped itself."""
    _lit.close()
    _tell(task_instance=task_instance, error=None)


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:
    """A run begins; called in the scheduler's loop."""
    _note(dag_run=dag_run, reason=None)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """A run has succeeded; called in the scheduler's loop."""
    _note(dag_run=dag_run, reason="success")


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """A run has failed; called in the scheduler's loop."""
    _note(dag_run=dag_run, reason=msg or "failed")


@hookimpl
def on_starting(component: Any) -> None:
    """A part of Airflow starts."""
    if not _is_task(component):
        # The scheduler forks. A child that is made while a thread loads these would wait for them for ever.
        from airflow_provider_b24.chat import delivery, editing, living_message  # noqa: F401
        from airflow_provider_b24.notifications import run_message  # noqa: F401
        from airflow_provider_b24.rest import client  # noqa: F401


@hookimpl
def before_stopping(component: Any) -> None:
    """A part of Airflow ends; a task also where it is deferred."""
    _lit.close()
    if not _is_task(component):
        outbox.drain(_DRAIN_SECONDS)


def marks_of(tags: Iterable[str]) -> list[tuple[str | None, str]]:
    """The connections (None for the default) and dialogs that tags name; other tags are none of ours."""
    from airflow_provider_b24.chat.dialogs import check_dialog_id
    from airflow_provider_b24.rest.errors import ConfigurationError

    found = []
    for tag in sorted(map(str, tags)):
        match = TAG.fullmatch(tag)
        if match is None:
            continue
        try:
            found.append((match["connection"], check_dialog_id(match["dialog"])))
        except ConfigurationError as error:
            if tag not in _complaints:
                _complaints.add(tag)
                log.warning("The tag %s names no dialog, so that nothing is shown of the DAG's runs. %s", tag, error)
    return found


@quiet
def _light(task_instance: Any) -> None:
    """Light the indicator for a task that wants it."""
    task = task_instance.task
    params = getattr(task, "params", None)
    wanted = params.get(PARAM) if params is not None and PARAM in params else None
    if not wanted:
        return
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

    _lit.close()
    given: Any = wanted if isinstance(wanted, Mapping) else {"dialog_id": wanted}
    given = task.render_template(dict(given), task_instance.get_template_context())
    hook = _lit.enter_context(Bitrix24Hook(given.get("connection") or Bitrix24Hook.default_conn_name))
    _lit.enter_context(hook.typing(given.get("dialog_id"), status=given.get("status")))


@quiet
def _tell(task_instance: Any, error: Any) -> None:
    """Tell the messages about the run what has happened to a task."""
    task = getattr(task_instance, "task", None)
    marks = marks_of(getattr(getattr(task, "dag", None), "tags", None) or ())
    if not marks or not hasattr(task_instance, "get_template_context"):
        # A task that somebody has marked in the UI: what is heard then is not the task's own process.
        return
    context = task_instance.get_template_context()
    for mark in marks:
        _message(*mark)({**context, **({"exception": error} if error is not None else {})})


@quiet
def _note(dag_run: Any, reason: str | None) -> None:
    """Have a thread tell the messages about a run that it has begun (no reason) or ended."""
    marks = marks_of(getattr(getattr(dag_run, "dag", None), "tags", None) or ())
    if marks:
        names = ("dag_id", "run_id", "start_date", "end_date", "clear_number")
        facts = {name: getattr(dag_run, name, None) for name in names}
        if reason is None:
            outbox.put(marks, {"dag_run": facts}, needed=False)
        else:
            outbox.put(marks, {"dag_run": facts, "reason": reason})


def _message(connection: str | None, dialog_id: str) -> RunMessage:
    from airflow.sdk.configuration import conf

    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
    from airflow_provider_b24.notifications.run_message import RunMessage

    language = conf.get("bitrix24", "listener_language", fallback="en")
    return RunMessage(
        dialog_id, bitrix24_conn_id=connection or Bitrix24Hook.default_conn_name, name="tag", language=language
    )


def _is_task(component: Any) -> bool:
    return type(component).__name__ == "TaskRunnerMarker"


class Outbox:
    """What is to be told of runs, and the thread that tells it.

    :param most: how much may wait; more is not told.
    """

    def __init__(self, most: int = _MOST_WAITING, tell: Callable[..., Any] = _message) -> None:
        self._most = most
        self._tell = tell
        self._pid = 0
        self._waiting: queue.Queue[tuple[list[tuple[str | None, str]], dict[str, Any]]] = queue.Queue(most)

    def put(self, marks: list[tuple[str | None, str]], context: dict[str, Any], *, needed: bool = True) -> None:
        """Take up what has happened to a run; returns at once.

        :param needed: otherwise it is left out where half of what may wait does.
        """
        if self._pid != os.getpid():
            # A process that was forked has not the thread.
            self._pid, self._waiting = os.getpid(), queue.Queue(self._most)
            threading.Thread(target=self._work, args=(self._waiting,), name="bitrix24-listener", daemon=True).start()
        if not needed and self._waiting.qsize() >= self._most // 2:
            return
        try:
            self._waiting.put_nowait((marks, context))
        except queue.Full:
            log.warning("More than %s runs have ended that Bitrix24 was not told of: one is left out", self._most)

    def drain(self, within: float) -> None:
        """Wait until all is told, for so many seconds at most."""
        until = time.monotonic() + within
        while self._pid == os.getpid() and self._waiting.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.05)

    def _work(self, waiting: queue.Queue[tuple[list[tuple[str | None, str]], dict[str, Any]]]) -> None:
        while True:
            marks, context = waiting.get()
            for mark in marks:
                self._one(mark=mark, context=context)
            waiting.task_done()

    def _one(self, **word: Any) -> None:
        def tell(mark: tuple[str | None, str], context: dict[str, Any]) -> None:
            self._tell(*mark)(context)

        quiet(tell)(**word)


outbox = Outbox()
