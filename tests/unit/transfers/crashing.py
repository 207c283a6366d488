"""Tries of a task that loads deals into the table ``deals`` of ``warehouse``, each in a process of its own.

For each line of the input one try: a JSON object that says when it is killed, or null. After each, its exit status is
printed. Its state is kept in the file that the command line names.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from airflow_provider_b24.transfers.bitrix24_to_sql import Bitrix24ToSqlOperator
from tests.crash import doomed
from tests.unit.operators.loads import Store, run_of


class Kept(Store):
    """A task's state in a file, which is there as a whole or as it was."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        if path.exists():
            self.kept = json.loads(path.read_text())

    def set(self, key: str, value: Any) -> None:
        super().set(key, value)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self.kept))
        new.replace(self._path)


def load(state: Path, chunk: int, kill: Any) -> None:
    operator = Bitrix24ToSqlOperator(
        task_id="load",
        params={"entityTypeId": 2},
        conn_id="warehouse",
        table="deals",
        create_table=True,
        chunk=chunk,
    )
    context: Any = run_of(store=Kept(state))
    with doomed(kill):
        operator.execute(context)


def answer(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    state, chunk = Path(sys.argv[1]), int(sys.argv[2])
    # What is imported by the first would be imported by each.
    import psycopg  # noqa: F401
    from airflow.sdk import BaseHook

    BaseHook.get_connection("warehouse").get_hook()
    answer("ready")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os.dup2(2, 1)
            status = 1
            try:
                load(state, chunk, json.loads(line))
                status = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(status)
        answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
