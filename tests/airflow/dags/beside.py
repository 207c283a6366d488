"""Typing beside other tasks, which end in all the ways there are."""

from __future__ import annotations

import time
from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, TaskGroup, task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_b24.operators.dialog import DialogWritingOperator


def typing(*watched, task_id="typing", **more):
    return DialogWritingOperator(
        task_id=task_id,
        dialog_id="{{ dag_run.conf['dialog'] }}",
        while_running=watched,
        interval=2,
        poll_interval=1,
        **more,
    )


@task
def work(seconds=6):
    time.sleep(seconds)


@task
def failing(seconds):
    time.sleep(seconds)
    raise RuntimeError("as it was told to")


class Deferring(BaseOperator):
    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=8)), method_name="done")

    def done(self, context, event=None):
        return None


with DAG("beside_success", schedule=None):
    typing("work")
    work(8)

with DAG("beside_failure", schedule=None):
    typing("failing")
    failing(6)

with DAG("beside_retry", schedule=None):

    @task(retries=1, retry_delay=timedelta(seconds=9))
    def second_time(ti=None):
        time.sleep(5)
        if ti.try_number == 1:
            raise RuntimeError("as it was told to")

    typing("second_time")
    second_time()

with DAG("beside_mapped", schedule=None):

    @task
    def plan():
        return [2, 5, 9]

    typing(work.expand(seconds=plan()))

with DAG("beside_nothing_mapped", schedule=None):

    @task
    def empty_plan():
        return []

    typing(work.expand(seconds=empty_plan()))

with DAG("beside_group", schedule=None):
    with TaskGroup("group") as group:
        work.override(task_id="first")(3) >> work.override(task_id="second")(4)
    typing(group)

with DAG("beside_late", schedule=None):
    work.override(task_id="upstream")(6) >> work(5)
    typing("work")

with DAG("beside_deferred", schedule=None):
    typing(Deferring(task_id="deferring"))

with DAG("beside_skipped", schedule=None):

    @task
    def skipping():
        time.sleep(3)
        raise AirflowSkipException

    typing("skipping", "not_reached")
    skipping() >> EmptyOperator(task_id="not_reached")

with DAG("beside_broken", schedule=None):
    failing(2) >> work.override(task_id="not_reached")(1)
    typing("not_reached")

with DAG("beside_finished", schedule=None):
    work.override(task_id="short")(0)
    work.override(task_id="long")(5) >> typing("short")

with DAG("beside_long", schedule=None):
    typing("work")
    work(60)

with DAG("beside_restarted", schedule=None):
    typing("work")
    work(60)

with DAG("refused", schedule=None):
    again = {"retries": 2, "retry_delay": timedelta(seconds=1)}
    first = work.override(task_id="first")(1)
    last = EmptyOperator(task_id="last", trigger_rule="all_done")
    first >> EmptyOperator(task_id="between") >> typing("first", task_id="typing_after", **again)
    typing("last", task_id="typing_before", **again) >> last
    with TaskGroup("reports"):
        EmptyOperator(task_id="weekly")
    typing("weekly", task_id="typing_unknown", **again)
