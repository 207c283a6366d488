"""Reading an Airflow connection once for all triggers that start together.

A triggerer that is started anew takes up to a thousand triggers within a few seconds. Each question for a connection
costs its supervisor some 10 ms, in which it does nothing else.
"""

from __future__ import annotations

import asyncio
import contextvars
from weakref import WeakKeyDictionary

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

# For how many seconds a connection counts as read. A change of it is noticed by triggers that start later than that.
_FRESH = 5.0

_readings: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[Bitrix24Hook]]] = WeakKeyDictionary()


async def read_hook(conn_id: str) -> Bitrix24Hook:
    """A hook whose connection was read a moment ago.

    :raises Exception: what reading it has raised; whoever asks next has it read again.
    """
    loop = asyncio.get_running_loop()
    if loop not in _readings:
        # What is kept for a loop holds on to it; those that are over would pile up.
        for other in [other for other in _readings if other.is_closed()]:
            del _readings[other]
        _readings[loop] = {}
    readings = _readings[loop]
    if conn_id not in readings:
        # In a context of its own, and not cancelled with the trigger that happened to be the first.
        readings[conn_id] = contextvars.Context().run(loop.create_task, _read(conn_id))
        readings[conn_id].add_done_callback(lambda task: _keep(loop, readings, conn_id, task))
    return await asyncio.shield(readings[conn_id])


async def _read(conn_id: str) -> Bitrix24Hook:
    hook = Bitrix24Hook(conn_id)
    await hook.aread()
    return hook


def _keep(
    loop: asyncio.AbstractEventLoop,
    readings: dict[str, asyncio.Task[Bitrix24Hook]],
    conn_id: str,
    task: asyncio.Task[Bitrix24Hook],
) -> None:
    if task.cancelled() or task.exception() is not None:
        readings.pop(conn_id, None)
    else:
        loop.call_later(_FRESH, readings.pop, conn_id, None)
