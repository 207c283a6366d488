"""A method whose execution time is used up, and tasks that leave retries to the portal's word."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.operators.message import MessageAddOperator
from airflow_provider_b24.operators.rest import RestOperator

DIALOG = "{{ dag_run.conf['dialog'] }}"
TIGHT = "tight"
# Nothing that is tried again after this delay ends in time.
POLICY: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(hours=1)}
with suppress(ImportError):
    from airflow_provider_b24.policies.retry import Bitrix24RetryPolicy

    POLICY["retry_policy"] = Bitrix24RetryPolicy()

with DAG("used_up", schedule=None, default_args={"bitrix24_conn_id": TIGHT}):
    last = MessageAddOperator(task_id="last", dialog_id=DIALOG, message="the last for now")
    message = MessageAddOperator(task_id="message", dialog_id=DIALOG, message="by the operator")
    other = RestOperator(task_id="other", method="profile")

    @task.bitrix24_report(dialog_id=DIALOG, bitrix24_conn_id=TIGHT)
    def report():
        with Bitrix24Hook(TIGHT) as hook:
            hook.call("server.time")
        return "by the report"

    @task(**POLICY)
    def by_policy(dialog):
        with Bitrix24Hook(TIGHT) as hook:
            hook.call("im.message.add", {"DIALOG_ID": dialog, "MESSAGE": "by the policy"})

    last >> [message, other, report(), by_policy(DIALOG)]

with DAG("refused_for_good", schedule=None):

    @task(**POLICY)
    def refused():
        with Bitrix24Hook(TIGHT) as hook:
            hook.call("crm.item.get", {"entityTypeId": 2, "id": 999_999})

    refused()
