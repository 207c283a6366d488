"""A table of a database that is what the CRM is: deals that were changed come every hour, deleted ones go.

Needs the connection ``bitrix24_default`` with the scope ``crm``, and a connection ``warehouse`` of any database that
Airflow has a provider for. Trigger it with ``{"full_reload": true}`` to load everything once more.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import Param, dag

from airflow_provider_b24.transfers.bitrix24_to_sql import Bitrix24ToSqlOperator


@dag(
    schedule="@hourly",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"full_reload": Param(False, type="boolean", description="Load everything, not only what was changed")},
    tags=["bitrix24", "example"],
    doc_md=__doc__,
)
def incremental_load_to_sql():
    # [START howto_operator_bitrix24_to_sql]
    Bitrix24ToSqlOperator(
        task_id="deals",
        method="crm.item.list",
        params={"entityTypeId": 2},
        conn_id="warehouse",
        table="deals",
        create_table=True,
        detect_deleted=True,
        full_reload="{{ params.full_reload }}",
        retries=3,
    )
    # [END howto_operator_bitrix24_to_sql]


incremental_load_to_sql()
