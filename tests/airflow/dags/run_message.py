"""Runs that have a message: by callbacks, and by a tag."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_b24.notifications.run_message import RunMessage

message = RunMessage("{{ dag_run.conf['dialog'] }}")

with DAG("living_done", schedule=None, default_args=message.task_callbacks, **message.dag_callbacks):

    @task
    def plan():
        message.update(text="Three parts")
        return [1, 2, 3]

    @task
    def part(number):
        time.sleep(1)
        return number

    @task
    def sum_up(numbers):
        begun = time.monotonic()
        for step in range(10_000):
            message.update(progress=step / 10_000)
        message.update(progress=-1, text="All parts are there")
        message.reply("[b]Details[/b]", once="details")
        return time.monotonic() - begun

    sum_up(part.expand(number=plan()))

with DAG("living_failed", schedule=None, default_args=message.task_callbacks, **message.dag_callbacks):

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def breaks():
        raise ValueError("no [b]bold[/b] words")

    @task
    def not_reached():
        return None

    breaks() >> not_reached()

with DAG("living_marked", schedule=None, tags=["bitrix24:4", "bitrix24:sales", "bitrix24"]):

    @task(params={"bitrix24_typing": "{{ dag_run.conf['dialog'] }}"})
    def typing():
        time.sleep(1)

    @task
    def dies():
        os.kill(os.getpid(), signal.SIGKILL)

    typing() >> dies()

with DAG("living_stopped", schedule=None, tags=["bitrix24@by_url:2"]):

    @task(pool="a pool that there is not")
    def never_begins():
        return None

    never_begins()
