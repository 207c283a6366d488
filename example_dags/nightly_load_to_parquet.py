"""Every night the deals that were changed since the last one, as a Parquet file.

The first run writes all deals. Needs the connection ``bitrix24_default`` with the scope ``crm``, and
``pip install 'airflow-provider-b24[parquet]'``. Where the files go is said by the Airflow Variable ``lake``, such as
``s3://aws_default@my-bucket/bitrix24``; without it they go to ``/tmp/lake``.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import dag

from airflow_provider_b24.transfers.bitrix24_to_object_storage import Bitrix24ToObjectStorageOperator

LAKE = "{{ var.value.get('lake', 'file:///tmp/lake') }}"


@dag(
    schedule="0 3 * * *",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["bitrix24", "example"],
    doc_md=__doc__,
)
def nightly_load_to_parquet():
    # [START howto_operator_bitrix24_to_object_storage]
    Bitrix24ToObjectStorageOperator(
        task_id="deals",
        method="crm.item.list",
        params={"entityTypeId": 2},
        # A file of its own for each run: one that is started by hand must not replace that of the night.
        path=f"{LAKE}/deals/{{{{ dag_run.run_after | ts_nodash }}}}.parquet",
        # What the warehouse has and this file has not was deleted in the portal.
        ids_path=f"{LAKE}/deal_ids/{{{{ dag_run.run_after | ds }}}}.parquet",
        retries=3,
    )
    # [END howto_operator_bitrix24_to_object_storage]


nightly_load_to_parquet()
