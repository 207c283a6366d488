"""What a DAG file costs that imports this package: milliseconds on top of ``from airflow.sdk import DAG, task``.

Airflow reads DAG files all day, and each task reads its file once more. Each import is timed in fresh processes;
the least of the times counts, for whatever else the machine does only adds to them. Beside it stands the same of
Airflow's Slack provider where it is installed, and otherwise that of ``requests``, which it imports as well as
its own client.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile

from benchmarks.result import Result

ROUNDS = 7
# For all of it at once, which no DAG file imports; Slack's operators alone cost 100.
BUDGET_MS = 20.0

IMPORTS = {
    "operators.dialog": "from airflow_provider_b24.operators.dialog import DialogWritingOperator",
    "operators.message": "from airflow_provider_b24.operators.message import MessageAddOperator",
    "operators.file": "from airflow_provider_b24.operators.file import FileUploadOperator",
    "operators.notify": "from airflow_provider_b24.operators.notify import NotifyOperator",
    "operators.rest": "from airflow_provider_b24.operators.rest import RestOperator",
    "@task.bitrix24_report": "task.bitrix24_report",
    "transfers.bitrix24_to_sql": "from airflow_provider_b24.transfers.bitrix24_to_sql import Bitrix24ToSqlOperator",
    "transfers.object_storage_to_bitrix24": "from airflow_provider_b24.transfers.object_storage_to_bitrix24 import "
    "ObjectStorageToBitrix24Operator",
    "transfers.sql_to_bitrix24": "from airflow_provider_b24.transfers.sql_to_bitrix24 import SqlToBitrix24Operator",
    "transfers.sql_to_dialog": "from airflow_provider_b24.transfers.sql_to_dialog import SqlToDialogOperator",
    "transfers.bitrix24_to_object_storage": "from airflow_provider_b24.transfers.bitrix24_to_object_storage import "
    "Bitrix24ToObjectStorageOperator",
    "notifications.bitrix24": "from airflow_provider_b24.notifications.bitrix24 import Bitrix24Notifier",
    "notifications.run_message": "from airflow_provider_b24.notifications.run_message import RunMessage",
    "hooks.bitrix24": "from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook",
}
SLACK = "from airflow.providers.slack.operators.slack import SlackAPIPostOperator"
REQUESTS = "import requests"

TIMED = """
import time
from airflow.sdk import DAG, task
begin = time.perf_counter()
{statements}
print((time.perf_counter() - begin) * 1000)
"""


def cost(statements: str, rounds: int = ROUNDS) -> float:
    """Milliseconds that the statements take in a fresh process: the least of several."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__UNIT_TEST_MODE": "True"}
        # Installed packages are compiled; so are these files from the second round on, unless this forbids it.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-c", TIMED.format(statements=statements)]
        times = []
        for _ in range(rounds + 1):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            times.append(float(done.stdout.split()[-1]))
    return min(times)


def main() -> list[Result]:
    """Measure and print."""
    everything = cost("\n".join(IMPORTS.values()))
    for name, statement in IMPORTS.items():
        print(f"  {name:<26}{cost(statement, 3):6.1f} ms alone")
    slack = importlib.util.find_spec("airflow.providers.slack") is not None
    name, statement = ("the Slack operators", SLACK) if slack else ("requests", REQUESTS)
    other = cost(statement)
    print(f"  {name:<26}{other:6.1f} ms")
    return [
        Result(
            f"importing all that a DAG file may import, beside {name}",
            ratio=everything / other,
            details=f"{everything:.1f} ms beside {other:.1f} ms; budget {BUDGET_MS:.0f} ms",
            good=everything <= BUDGET_MS,
        )
    ]


if __name__ == "__main__":
    for result in main():
        print(result)
