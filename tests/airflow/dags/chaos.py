"""Tasks that post, in every way there is, and kill their own process at a step that they are told."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, get_current_context, task
from airflow.sdk.bases.decorator import task_decorator_factory

from airflow_provider_b24.decorators.bitrix24_report import Bitrix24ReportOperator
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.operators.message import MessageAddOperator

# The trials of each way to post, put into the environment before Airflow starts.
TRIALS = json.loads(os.environ.get("B24_CHAOS_TRIALS", "{}"))


def kill(kind):
    """As the kernel does when memory is short: no handler, no farewell."""
    with (Path(os.environ["AIRFLOW_HOME"]) / "kills").open("a") as kills:
        kills.write(f"{kind}\n")
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def doomed(kills, kind, context):
    """Steps of conversations are counted; at one of them, on the tries that have one, the process is killed."""
    number = context["ti"].try_number - 1
    doom = kills[number] if number < len(kills) else None
    if doom is None:
        yield
        return
    from airflow_provider_b24.rest.client import Client

    drive, worker, steps = Client._drive, threading.get_ident(), iter(range(1000))

    def counted(conversation):
        outcome = None
        while True:
            try:
                step = conversation.send(outcome)
            except StopIteration as stop:
                return stop.value
            here = threading.get_ident() == worker and next(steps) == doom["step"]
            if here and doom.get("delay"):
                threading.Timer(doom["delay"], kill, [kind]).start()
            elif here and not doom["after"]:
                kill(kind)
            outcome = yield step
            if here and doom["after"]:
                kill(kind)

    def drive_counted(self: Client, conversation: Any, gate: Any = None) -> Any:
        return drive(self, counted(conversation), gate)

    Client._drive = drive_counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        Client._drive = drive  # type: ignore[method-assign]


class Post(MessageAddOperator):
    def __init__(self, *, kills=(), kind="", **kwargs):
        super().__init__(**kwargs)
        self.kills, self.kind = kills, kind

    def execute(self, context):
        with doomed(self.kills, self.kind, context):
            return super().execute(context)


class PostLater(Post):
    def execute(self, context):
        # Where a task goes on before the scheduler has heard that its worker is through, Airflow fails the try.
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=4)), method_name="go_on")

    def go_on(self, context, event):
        return super().execute(context)


class Report(Bitrix24ReportOperator):
    custom_operator_name = "@task.doomed_report"

    def execute(self, context):
        trial = TRIALS["report"][context["ti"].map_index]
        with doomed(trial["kills"], trial["kind"], context):
            return super().execute(context)


def of(name):
    """What is no argument of a report's function is the same template for all."""
    return f"{{{{ trials['report'][ti.map_index]['{name}'] }}}}"


with DAG(
    "chaos",
    schedule=None,
    user_defined_macros={"trials": TRIALS},
    default_args={"retries": 5, "retry_delay": timedelta(seconds=1)},
):

    def report(message, **others):
        return message

    @task
    def plain(dialog_id, messages, **trial):
        with doomed(trial["kills"], trial["kind"], get_current_context()):
            hook = Bitrix24Hook(trial["bitrix24_conn_id"])
            return [
                hook.send_message(dialog_id, message, as_bot=trial["as_bot"], once=str(number))
                for number, message in enumerate(messages)
            ]

    @task
    async def unhurried(dialog_id, messages, **trial):
        async with Bitrix24Hook(trial["bitrix24_conn_id"]) as hook:
            return [
                await hook.asend_message(dialog_id, message, as_bot=trial["as_bot"], once=str(number))
                for number, message in enumerate(messages)
            ]

    reports: Any = task_decorator_factory(
        report,
        decorated_operator_class=Report,
        dialog_id=of("dialog_id"),
        bitrix24_conn_id=of("bitrix24_conn_id"),
    )
    reports.expand_kwargs(TRIALS.get("report", []))
    plain.expand_kwargs(TRIALS.get("plain", []))
    unhurried.expand_kwargs(TRIALS.get("unhurried", []))
    Post.partial(task_id="operator", post_again_when_cleared=False).expand_kwargs(TRIALS.get("operator", []))
    PostLater.partial(task_id="deferred").expand_kwargs(TRIALS.get("deferred", []))
