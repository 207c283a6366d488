"""Puts task instances that wait for triggers into Airflow's database, as they are once their tasks have deferred.

usage: python -m benchmarks.rows < instances.json

A thousand tasks that an executor starts take half an hour of processor time before they wait; a thousand rows take
seconds. The input is a list of ``[run id, task id, map index, state, trigger]``, a trigger being null or its class
path and its arguments.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow._shared.timezones.timezone import utcnow
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import delete, update

DAG_ID = "crowd"


def insert(instances: list[list[Any]]) -> None:
    """Empty the tables of what an earlier measurement has left, and fill them."""
    from airflow.models.serialized_dag import SerializedDagModel

    with create_session() as session:
        session.execute(update(TaskInstance).values(trigger_id=None))
        for model in (Trigger, TaskInstance, DagRun):
            session.execute(delete(model))
    with create_session() as session:
        version = DagVersion.get_latest_version(DAG_ID, session=session)
        dag = SerializedDagModel.get_dag(DAG_ID, session=session)
        assert version is not None
        assert dag is not None
        now = utcnow()
        for run_id in dict.fromkeys(row[0] for row in instances):
            session.add(
                DagRun(
                    dag_id=DAG_ID,
                    run_id=run_id,
                    start_date=now,
                    run_after=now,
                    state=DagRunState.RUNNING,
                    run_type=DagRunType.MANUAL,
                    triggered_by=DagRunTriggeredByType.TEST,
                )
            )
        session.flush()
        for run_id, task_id, map_index, state, trigger in instances:
            instance = TaskInstance(
                dag.get_task(task_id), run_id=run_id, map_index=map_index, state=state, dag_version_id=version.id
            )
            instance.start_date = now
            instance.try_number = 1
            if trigger is not None:
                instance.trigger = Trigger(classpath=trigger[0], kwargs=trigger[1])
                instance.next_method = "execute_complete"
            session.add(instance)


if __name__ == "__main__":
    insert(json.load(sys.stdin))
