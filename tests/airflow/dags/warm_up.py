"""The first task and the first trigger of an Airflow load what the others find loaded."""

from __future__ import annotations

import time

from airflow.sdk import DAG, task

from airflow_provider_b24.operators.dialog import DialogWritingOperator

with DAG("warm_up", schedule=None):

    @task
    def work():
        time.sleep(5)

    DialogWritingOperator(task_id="typing", dialog_id="{{ dag_run.conf['dialog'] }}", while_running=[work()])
