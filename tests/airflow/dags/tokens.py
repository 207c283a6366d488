"""Who renews an application's tokens: tasks, a trigger, and a callback of a run."""

from __future__ import annotations

from airflow.sdk import DAG, task

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.operators.dialog import DialogWritingOperator

DIALOG = "{{ dag_run.conf['dialog'] }}"


def say_so(context):
    # In a child of the dag-processor.
    with Bitrix24Hook("tokens_callback") as hook:
        hook.call("im.message.add", {"DIALOG_ID": context["dag_run"].conf["dialog"], "MESSAGE": "by a callback"})


with DAG("tokens_renewed", schedule=None, on_success_callback=say_so):

    @task
    def who(number):
        with Bitrix24Hook("tokens_task") as hook:
            return hook.call("profile")["ID"]

    who.expand(number=list(range(8)))

with DAG("tokens_typing", schedule=None):
    DialogWritingOperator(
        task_id="typing", dialog_id=DIALOG, bitrix24_conn_id="tokens_trigger", keep_for=300, interval=2
    )

with DAG("tokens_stored", schedule=None):

    @task
    def after_the_test():
        with Bitrix24Hook("tokens_stored") as hook:
            return hook.call("profile")["ID"]

    after_the_test()
