"""Airflow's Variables, from wherever a hook may run.

A task, a trigger and a callback ask their supervisor, the API server and the command line ask the database, and a
plain Python process can ask nobody.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from airflow_provider_b24.hooks.loop import asked_by, running_loop

T = TypeVar("T")

# The supervisor answers at once. An event loop that does not let it, for so many seconds, is not waited for.
_ANSWERED_SECONDS = 60.0

_NOT_HERE = (
    "It is not renewed where the new one can not be stored, for that would use up the refresh token that all others "
    "have. "
)


class Variables(Protocol):
    """Texts that Airflow keeps under a key, encrypted."""

    def get(self, key: str) -> str | None:
        """The text as it is now, or None."""

    def put(self, key: str, value: str, description: str) -> None:
        """Keep a text."""

    def remove(self, key: str) -> None:
        """Forget a text, if there is one."""


class _OfTheSupervisor:
    def get(self, key: str) -> str | None:
        from airflow.sdk import SecretCache, Variable

        # A dag-processor that caches secrets would not see for 15 minutes what others have stored.
        SecretCache.invalidate_variable(key)
        found = Variable.get(key, default=None)
        return found if isinstance(found, str) else None

    def put(self, key: str, value: str, description: str) -> None:
        from airflow.sdk import Variable

        Variable.set(key, value, description=description)

    def remove(self, key: str) -> None:
        from airflow.sdk import Variable

        Variable.delete(key)


class _OfTheDatabase:
    def get(self, key: str) -> str | None:
        from airflow.models.variable import Variable

        found = Variable.get(key, default_var=None)
        return found if isinstance(found, str) else None

    def put(self, key: str, value: str, description: str) -> None:
        from airflow.models.variable import Variable

        Variable.set(key, value, description=description)

    def remove(self, key: str) -> None:
        from airflow.models.variable import Variable

        Variable.delete(key)


class _ByTheLoop:
    """Where an event loop talks to the supervisor, others do it by way of that loop.

    On Airflow 3.2 a thread that does so by itself takes answers that are meant for others, and the triggerer dies.
    """

    def __init__(self, variables: Variables, loop: asyncio.AbstractEventLoop) -> None:
        self._variables = variables
        self._loop = loop

    def get(self, key: str) -> str | None:
        return self._asked(self._variables.get, key)

    def put(self, key: str, value: str, description: str) -> None:
        self._asked(self._variables.put, key, value, description)

    def remove(self, key: str) -> None:
        self._asked(self._variables.remove, key)

    def _asked(self, question: Callable[..., T], *words: str) -> T:
        return asked_by(self._loop, _ANSWERED_SECONDS, question, *words)


def reachable() -> Variables | None:
    """The Variables, or None where there is nobody to ask for them. In an event loop, they are asked for by its way."""
    variables: Variables
    if _supervisor() is not None:
        variables = _OfTheSupervisor()
    elif _context() == "server":
        variables = _OfTheDatabase()
    else:
        return None
    loop = running_loop()
    return variables if loop is None else _ByTheLoop(variables, loop)


def renewal_refused() -> str:
    """Why tokens must not be renewed here, as an advice; empty where they may be."""
    if _is_callback_of_executor():
        # Its supervisor knows no such message. It would not answer, for ever, and write the Variable into its log.
        return (
            f"{_NOT_HERE}A callback that an executor runs may not write Variables: let a task call the portal now and "
            "then, or use AsyncCallback instead of SyncCallback."
        )
    if _supervisor() is None and _context() == "client":
        return f"{_NOT_HERE}Test the connection by the Test button, or: airflow connections test CONN_ID"
    return ""


def is_transient(conn_id: str) -> bool:
    """Whether a connection has this name only while a Test button is pressed."""
    made_up = len(conn_id) == 8 and conn_id.isascii() and conn_id.isalnum()
    return (
        made_up and _context() == "server" and _supervisor() is None and f"AIRFLOW_CONN_{conn_id.upper()}" in os.environ
    )


def _supervisor() -> Any:
    task_runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    return getattr(task_runner, "SUPERVISOR_COMMS", None)


def _context() -> str:
    return os.environ.get("_AIRFLOW_PROCESS_CONTEXT", "")


def _is_callback_of_executor() -> bool:
    if "airflow.sdk.execution_time.callback_supervisor" not in sys.modules:
        return False
    from airflow.sdk.execution_time.comms import CommsDecoder

    # A task has these variables, the dag-processor has that context, and all others speak in another way.
    in_task_or_processor = "AIRFLOW_CTX_DAG_ID" in os.environ or _context() == "client"
    return type(_supervisor()) is CommsDecoder and not in_task_or_processor
