"""One method to a task."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_provider_b24.operators.dialog import DialogReadOperator, DialogUnreadOperator
from airflow_provider_b24.operators.file import FileUploadOperator
from airflow_provider_b24.operators.message import MessageAddOperator
from airflow_provider_b24.operators.rest import RestOperator

DIALOG = "{{ dag_run.conf['dialog'] }}"
ONCE = {"retries": 1, "retry_delay": timedelta(seconds=1)}

# Its connection is in Airflow's database, the others are in the environment; it has a bot, which does not speak here.
with DAG("messages", schedule=None, default_args={"bitrix24_conn_id": "stored", "as_bot": False, **ONCE}):
    add = MessageAddOperator(
        task_id="add",
        dialog_id=DIALOG,
        message="Stock of {{ dag.dag_id }}",
        attach=[{"GRID": [{"NAME": "Run", "VALUE": "{{ run_id[:6] }}", "DISPLAY": "LINE"}]}],
        keyboard={"BUTTONS": [{"TEXT": "Open", "LINK": "https://example.com/stock"}]},
        url_preview=False,
    )
    answer = MessageAddOperator(task_id="answer", dialog_id=DIALOG, message="Seen", reply_id=add.output)  # type: ignore[arg-type]
    unread = DialogUnreadOperator(task_id="unread", dialog_id=DIALOG, message_id="{{ dag_run.conf['foreign'] }}")
    read = DialogReadOperator(task_id="read", dialog_id=DIALOG)
    add >> answer >> unread >> read

with DAG("any_method", schedule=None, params={"entityTypeId": Param(2, type="integer")}, default_args=ONCE):
    RestOperator(task_id="deal", method="crm.item.get", params={"entityTypeId": "{{ params.entityTypeId }}", "id": 1})
    RestOperator.partial(task_id="deals", method="crm.item.get").expand(
        rest_params=[{"entityTypeId": 2, "id": number} for number in (1, 2, 3)]
    )
    RestOperator(
        task_id="too_large",
        method="crm.item.list",
        params={"entityTypeId": 2, "order": {"id": "ASC"}},
        max_result_bytes=500,
    )
    FileUploadOperator(
        task_id="file",
        dialog_id=DIALOG,
        file="file://{{ dag.fileloc }}",
        name="{{ dag.dag_id }}.py",
        message="This DAG",
    )
    RestOperator(task_id="missing", method="crm.item.get", params={"entityTypeId": 2, "id": 999_999})

with DAG("unreachable", schedule=None):
    RestOperator(task_id="dead", method="profile", bitrix24_conn_id="dead")
