"""Files, data and the result of a query into a chat: each once, however often a task is tried again.

Needs the connection ``bitrix24_default`` with the scopes ``im`` and ``crm``, and for the query a connection
``warehouse`` of any database that Airflow has a provider for.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_b24.operators.file import FileUploadOperator
from airflow_provider_b24.transfers.sql_to_dialog import SqlToDialogOperator

# The chat of a deal; chat2935 (a group chat), 13 (a person) and others will do as well.
DIALOG = "deal:1663"


@dag(schedule=None, tags=["bitrix24", "example"], doc_md=__doc__)
def files():
    # [START howto_operator_file]
    @task
    def write() -> str:
        import tempfile
        from pathlib import Path

        # Where workers do not share a disk: ObjectStoragePath("s3://my_conn@bucket/terms.txt").
        path = Path(tempfile.gettempdir()) / "terms.txt"
        path.write_text("Payment within 14 days\n")
        return str(path)

    terms = FileUploadOperator(task_id="terms", dialog_id=DIALOG, file=write(), message="The [b]terms[/b]")
    # [END howto_operator_file]

    # [START howto_hook_send_file]
    @task
    def stages() -> int:
        from collections import Counter

        from airflow_provider_b24.chat.text import table
        from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

        with Bitrix24Hook() as hook:
            deals = hook.iterate("crm.item.list", {"entityTypeId": 2, "select": ["id", "stageId"]})
            counts = Counter(deal["stageId"] for deal in deals)
            data = table(counts.most_common(), columns=["Stage", "Deals"], title="Deals by stage")
            # For people in the message, for programs as a file. A dataframe of pandas or polars is a file as well.
            hook.send_message(DIALOG, "All deals", attach=data.attach(), once="table")
            return hook.send_file(DIALOG, data, name="stages.csv", once="file")

    # [END howto_hook_send_file]

    # [START howto_operator_sql_to_dialog]
    sold = SqlToDialogOperator(
        task_id="sold",
        conn_id="warehouse",
        sql="SELECT 'Laptops' AS goods, 700 AS sold, 455000.00 AS amount UNION ALL SELECT 'Chairs', 12, 1020.50",
        dialog_id=DIALOG,
        title="Sold this week",
        send_as="both",
        empty="skip",
    )
    # [END howto_operator_sql_to_dialog]

    terms >> stages() >> sold


files()
