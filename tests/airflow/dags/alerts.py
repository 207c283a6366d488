"""Everything that a notifier is called for: failures of tasks and runs, recoveries, deadlines, decisions."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback, task  # type: ignore[attr-defined]

from airflow_provider_b24.notifications.bitrix24 import Bitrix24Notifier


def of(name):
    """Each task has a dialog of its own."""
    return f"{{{{ dag_run.conf['dialogs']['{name}'] }}}}"


def told(name, **arguments):
    return {
        f"on_{event}_callback": Bitrix24Notifier(of(name), **arguments) for event in ("failure", "retry", "success")
    }


with DAG(
    "alerts",
    schedule=None,
    on_failure_callback=Bitrix24Notifier(of("run"), language="ru", digest=True),
    default_args={"retries": 0, "retry_delay": timedelta(seconds=1)},
):

    @task(**told("retried"), retries=1)
    def retried():
        raise RuntimeError("the [b]warehouse[/b] is closed")

    @task(**told("killed"))
    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    @task(**told("mapped"))
    def mapped(row):
        raise ValueError(f"row {row} is empty")

    @task(**told("healed"))
    def healed(ti=None):
        if ti.try_number == 1:
            raise ConnectionError("no way to the warehouse")

    @task(**told("run", language="ru", digest=True))
    def collected(number):
        raise KeyError(number)

    @task(**told("lost"))
    def lost(dag_run=None):
        Path(dag_run.conf["pids"]).write_text(f"{os.getpid()} {os.getppid()}", encoding="utf-8")
        time.sleep(300)

    retried()
    killed()
    mapped.expand(row=[1, 2, 3])
    healed()
    collected.expand(number=[1, 2])
    lost()

LATE = {"reference": DeadlineReference.DAGRUN_QUEUED_AT, "interval": timedelta(seconds=1)}

with DAG(
    "alerts_late",
    schedule=None,
    deadline=[
        DeadlineAlert(**LATE, callback=AsyncCallback(Bitrix24Notifier, {"dialog_id": of("async")})),
        DeadlineAlert(**LATE, callback=SyncCallback(Bitrix24Notifier, {"dialog_id": of("sync")})),
    ],
):

    @task
    def slow():
        time.sleep(25)

    slow()

with DAG("alerts_ask", schedule=None):
    HITLOperator(
        task_id="ask",
        subject="Pay?",
        options=["Yes", "No"],
        notifiers=[Bitrix24Notifier(of("ask"), message="{{ nobody_knows }}")],
    )
