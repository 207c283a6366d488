"""A load into a database whose process is killed, on the first tries, at the steps that the run is told."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_b24.transfers.bitrix24_to_sql import Bitrix24ToSqlOperator
from tests import crash


def die(number):
    with (Path(os.environ["AIRFLOW_HOME"]) / "load_kills").open("a") as kills:
        kills.write(f"{number}\n")
    crash.die()


class Load(Bitrix24ToSqlOperator):
    def execute(self, context):
        kills = context["dag_run"].conf.get("kills", [])
        number = context["ti"].try_number
        with crash.doomed(kills[number - 1] if number <= len(kills) else None, partial(die, number)):
            return super().execute(context)


with DAG("load", schedule=None, default_args={"retries": 40, "retry_delay": timedelta(seconds=0.1)}):
    Load(
        task_id="load",
        params={"entityTypeId": 2},
        bitrix24_conn_id="loads",
        conn_id="warehouse",
        table="deals",
        create_table=True,
        chunk=int(os.environ.get("B24_LOAD_CHUNK", "150")),
    )
