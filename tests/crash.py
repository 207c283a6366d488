"""Loads into a table whose process is killed at some point, as the kernel does it when memory is short."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from airflow_provider_b24.hooks.sql_dialects import Postgres
from airflow_provider_b24.hooks.sql_table import SqlTable
from airflow_provider_b24.hooks.task_state import TaskState
from airflow_provider_b24.testing import FakePortal

# Of each piece: before it is stored, before it is committed, after that, and when it is noted.
STEPS_OF_A_PIECE = 4


def kills(count: int, seed: int) -> list[dict[str, Any]]:
    """When tries are killed, one after the other: at which step, and how many seconds after it.

    Half of them die right at a step; the others in the midst of whatever follows it.
    """
    source = random.Random(seed)
    return [
        {"step": source.randint(1, 3 * STEPS_OF_A_PIECE), "delay": source.choice((0.0, source.uniform(0.001, 0.05)))}
        for _ in range(count)
    ]


def die() -> None:
    """No handler, no farewell."""
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def doomed(kill: Mapping[str, Any] | None, die: Callable[[], None] = die) -> Iterator[None]:
    """Steps of a load are counted; at one of them, or soon after it, the process is killed."""
    if kill is None:
        yield
        return
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == kill["step"] and kill["delay"]:
            threading.Timer(kill["delay"], die).start()
        elif count == kill["step"]:
            die()

    def stepping(method: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
        def made(*args: Any, **more: Any) -> Any:
            if before:
                step()
            result = method(*args, **more)
            step()
            return result

        return made

    patches: Sequence[tuple[type, str, bool]] = (
        (SqlTable, "store_part", True),
        (Postgres, "upsert", False),
        (TaskState, "__setitem__", False),
    )
    kept = [getattr(owner, name) for owner, name, _ in patches]
    for (owner, name, before), method in zip(patches, kept, strict=True):
        setattr(owner, name, stepping(method, before=before))
    try:
        yield
    finally:
        for (owner, name, _), method in zip(patches, kept, strict=True):
            setattr(owner, name, method)


def bounds(portal: FakePortal, since: int) -> list[int]:
    """Behind which ids deals were asked for, in all calls from a number on: 0 where from the beginning.

    Pages that are asked for behind the page before are not counted.
    """
    found = []
    for call in portal.calls[since:]:
        if call.method == "crm.item.list":
            bound = str((call.params.get("filter") or {}).get(">id", 0))
            found += [int(bound)] if bound.isdigit() else []
    return found
