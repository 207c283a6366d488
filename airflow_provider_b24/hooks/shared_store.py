"""What several tasks, callbacks and runs have to know of each other's messages: kept in Airflow's Variables.

A task's own state store is for that task alone, and XCom is cleared when a task is tried again. Variables are what
tasks, triggers and callbacks all can read and write, on every host.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from airflow_provider_b24.hooks.variables import Variables, reachable, renewal_refused


class VariableStore:
    """Airflow's Variables as a store of JSON values; each key is a Variable of its own.

    :param variables: where they are kept.
    :param description: shown with the Variables in Airflow.
    """

    def __init__(self, variables: Variables, description: str) -> None:
        self._variables = variables
        self._description = description

    def get(self, key: str) -> Any:
        """The value, or None; also where somebody has put something else there."""
        with suppress(ValueError):
            return json.loads(self._variables.get(key) or "null")
        return None

    def __setitem__(self, key: str, value: Any) -> None:
        self._variables.put(key, json.dumps(value, ensure_ascii=False), self._description)

    def forget(self, key: str) -> None:
        """Forget a value, if there is one."""
        self._variables.remove(key)


def shared_store(description: str) -> VariableStore | None:
    """The store that all tasks and callbacks share; None where Variables can not be written.

    That is so in a plain Python process, and in callbacks that an executor runs (``SyncCallback``).
    """
    variables = None if renewal_refused() else reachable()
    return None if variables is None else VariableStore(variables, description)
