"""Tasks whose portal repeats their secrets when it refuses what they ask for."""

from __future__ import annotations

import logging
import time
import traceback

from airflow.sdk import DAG, task

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.operators.dialog import DialogWritingOperator
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.errors import Bitrix24Error

with DAG("telltale", schedule=None):

    @task
    def caught(dag_run=None):
        left = []
        for conn_id in dag_run.conf["connections"]:
            with Bitrix24Hook(conn_id) as hook:
                try:
                    hook.call(f"{conn_id}.get")
                except Bitrix24Error as error:
                    logging.getLogger(__name__).exception("%s was refused", conn_id)
                    left += [str(error), repr(error), traceback.format_exc(), repr(hook.get_conn()), repr(vars(hook))]
        return left

    @task
    def works():
        time.sleep(8)

    caught()
    RestOperator(
        task_id="failing",
        method="{{ dag_run.conf['failing'] }}.get",
        params={"run": "{{ run_id }}"},
        bitrix24_conn_id="{{ dag_run.conf['failing'] }}",
    )
    DialogWritingOperator(
        task_id="typing",
        dialog_id="{{ dag_run.conf['dialog'] }}",
        bitrix24_conn_id="{{ dag_run.conf['typing'] }}",
        status="PROCESSING",
        while_running=[works()],
        interval=2,
    )
