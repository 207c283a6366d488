"""Typing on its own: one signal, or for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_b24.operators.dialog import DialogWritingOperator

DIALOG = "{{ dag_run.conf['dialog'] }}"
CONNECTION = "{{ dag_run.conf.get('connection', 'bitrix24_default') }}"
AGAIN: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(seconds=1)}

with DAG("one_signal", schedule=None):
    DialogWritingOperator(task_id="typing", dialog_id=DIALOG, bitrix24_conn_id=CONNECTION, **AGAIN)

with DAG("status", schedule=None):
    DialogWritingOperator(
        task_id="typing", dialog_id=DIALOG, bitrix24_conn_id=CONNECTION, status="CALCULATING", **AGAIN
    )

with DAG("keep_for", schedule=None):
    DialogWritingOperator(task_id="typing", dialog_id=DIALOG, keep_for=timedelta(seconds=30))

with DAG("keep_for_shaky", schedule=None):
    DialogWritingOperator(
        task_id="typing", dialog_id=DIALOG, bitrix24_conn_id=CONNECTION, keep_for=36, interval=3, **AGAIN
    )

with DAG("keep_for_many", schedule=None):
    DialogWritingOperator.partial(task_id="typing", bitrix24_conn_id="busy", keep_for=50, interval=4).expand(
        dialog_id=[f"chat{number}" for number in range(2951, 2981)]
    )

with DAG("keep_for_long", schedule=None):
    DialogWritingOperator(task_id="typing", dialog_id=DIALOG, keep_for=timedelta(minutes=5), interval=2)

with DAG("keep_for_restarted", schedule=None):
    DialogWritingOperator(task_id="typing", dialog_id=DIALOG, keep_for=60, interval=2)
