"""Runs its DAGs one by one in this process, without a scheduler or a triggerer: ``dag.test()``."""

from __future__ import annotations

import json
import sys
import time

from airflow.sdk import DAG, task

from airflow_provider_b24.operators.dialog import DialogWritingOperator

with DAG("beside_alone", schedule=None) as beside_alone:

    @task
    def work():
        time.sleep(1)

    DialogWritingOperator(
        task_id="typing", dialog_id="{{ dag_run.conf['beside_alone'] }}", while_running=[work()], interval=2
    )

with DAG("keep_for_alone", schedule=None) as keep_for_alone:
    DialogWritingOperator(
        task_id="typing",
        dialog_id="{{ dag_run.conf['keep_for_alone'] }}",
        keep_for=4,
        # One signal of its bot would last all that time.
        as_bot=False,
        bitrix24_conn_id="stored",
    )

with DAG("report_alone", schedule=None) as report_alone:

    @task.bitrix24_report(dialog_id="{{ dag_run.conf['report_alone'] }}", bitrix24_conn_id="stored", interval=2)
    async def report():
        return "Written alone"

    report()

if __name__ == "__main__":
    for dag in (beside_alone, keep_for_alone, report_alone):
        run = dag.test(run_conf=json.loads(sys.argv[1]))
        print(f"RESULT {dag.dag_id} {run.state}", flush=True)  # noqa: T201
