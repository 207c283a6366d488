"""Asking by way of an event loop, from a thread that works for it, while that loop may come to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

T = TypeVar("T")

# How often it is looked whether the loop is over: one that has ended answers nobody, and tells nobody.
_LOOK_AGAIN = 0.1


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def asked_by(loop: asyncio.AbstractEventLoop | None, within: float, question: Callable[..., T], *words: Any) -> T:
    """What a question returns, asked from a thread of asgiref that works for the event loop.

    It is asked right here where there is no such loop, or where it is over before there was an answer. Then it may
    have been asked twice.

    :param within: seconds that the loop is given.
    :raises TimeoutError: if it goes on and has not let the question be answered by then.
    """
    if loop is None or not loop.is_running() or running_loop() is not None:
        return question(*words)
    # An executor of its own: a loop that is about to end may have closed its own.
    executor = ThreadPoolExecutor(1)
    try:
        asked = _handed_over(loop, executor, question, *words)
        until = time.monotonic() + within
        while asked is not None and not asked.done() and loop.is_running():
            if time.monotonic() > until:
                raise FutureTimeoutError
            wait([asked], _LOOK_AGAIN)
    finally:
        executor.shutdown(wait=False)
    if asked is None or not asked.done() or asked.cancelled():
        return question(*words)
    return asked.result()


def _handed_over(
    loop: asyncio.AbstractEventLoop, executor: ThreadPoolExecutor, question: Callable[..., T], *words: Any
) -> Future[T] | None:
    from asgiref.sync import sync_to_async

    asking: Coroutine[Any, Any, T] = sync_to_async(question, thread_sensitive=False, executor=executor)(*words)
    try:
        return asyncio.run_coroutine_threadsafe(asking, loop)
    except RuntimeError:
        # It was closed this moment.
        asking.close()
        return None
