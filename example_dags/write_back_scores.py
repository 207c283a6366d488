"""What a model says of each deal goes from the warehouse into the CRM, as the deal's probability.

Rows that the portal refuses, such as those of deals that were deleted meanwhile, go into a file; the task fails where
they are more than one in a hundred. Other DAGs may be scheduled on the asset that it changes.

Needs the connection ``bitrix24_default`` with the scope ``crm``, and a connection ``warehouse`` of any database that
Airflow has a provider for, with a table ``scores (deal_id, probability, run_date)``. Where the file goes is said by the
Airflow Variable ``lake``; without it, to ``/tmp/lake``.
"""

from __future__ import annotations

from airflow.sdk import Asset, dag

from airflow_provider_b24.transfers.sql_to_bitrix24 import SqlToBitrix24Operator


@dag(schedule=None, tags=["bitrix24", "example"], doc_md=__doc__)
def write_back_scores():
    # [START howto_operator_sql_to_bitrix24]
    SqlToBitrix24Operator(
        task_id="probability",
        conn_id="warehouse",
        # Bounded and in order, so that a retry goes on where the try before it has stopped.
        sql="SELECT deal_id, probability FROM scores WHERE run_date <= '{{ dag_run.run_after | ds }}' ORDER BY deal_id",
        method="crm.item.update",
        params={"entityTypeId": 2},
        columns={"deal_id": "id", "probability": "probability"},
        rejects_path="{{ var.value.get('lake', 'file:///tmp/lake') }}/rejects/{{ dag_run.run_after | ds }}.jsonl",
        max_rejected=0.01,
        outlets=[Asset("bitrix24://example.bitrix24.com/crm/deal")],
        retries=3,
    )
    # [END howto_operator_sql_to_bitrix24]


write_back_scores()
