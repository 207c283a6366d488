"""The DAG whose tasks wait in the triggerer; none of them ever runs."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("crowd", schedule=None):
    EmptyOperator(task_id="typing")
    EmptyOperator(task_id="work")
