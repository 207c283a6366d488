"""What this process has still to tell of a run: what comes too fast is told together, and the last of it is not lost.

Whoever tells something is not kept waiting: it goes out at once where it is time for it, otherwise from a thread a
moment later. What is left when the Airflow task ends is told by :meth:`Telling.flush`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeAlias
from weakref import WeakValueDictionary

from airflow_provider_b24.chat.run_record import Event
from airflow_provider_b24.rest.errors import Bitrix24Error

log = logging.getLogger(__name__)

Say: TypeAlias = Callable[[tuple[Event, ...], bool], "float | None"]
"""Shows events; told whether to wait until it is time. What it returns is when to call again (epoch seconds)."""

ASay: TypeAlias = Callable[[tuple[Event, ...], bool], Awaitable["float | None"]]

# A process that was forked has nothing to tell of what its parent was told; and one that goes on for long, such as the
# scheduler, forgets what nobody tells of any more.
_tellings: WeakValueDictionary[tuple[int, str], Telling] = WeakValueDictionary()


def telling(key: str, interval: float) -> Telling:
    """What this process tells of the message with this key."""
    return _tellings.setdefault((os.getpid(), key), Telling(interval))


class Telling:
    """What is to be told of one message.

    :param interval: seconds between two times of telling it without being asked to wait.
    :ivar flushed_at_the_end: whether :meth:`flush` will be called when the task ends.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._lock = threading.Lock()
        # One at a time: whoever waits for the end of the process must not end it in the midst of another's edit.
        self._saying = threading.Lock()
        self._events: tuple[Event, ...] = ()
        self._not_before = 0.0
        self._due = False
        self._say: Say | None = None
        self._complaints: set[str] = set()
        self.flushed_at_the_end = False

    def tell(self, events: Sequence[Event], say: Say, *, wait: bool = False, later: bool = True) -> None:
        """Tell it now, or a moment later.

        :param wait: tell it before this returns.
        :param later: whether a thread may tell it; otherwise it is left for :meth:`flush`.
        """
        with self._lock:
            self._events = _together(self._events, events)
            self._say = say
            if not wait:
                if self._due:
                    return
                pause = self._not_before - time.monotonic()
                if pause > 0:
                    self._after(pause, later=later)
                    return
                self._due = True
        self._go(say, wait=wait, later=later)

    async def atell(self, events: Sequence[Event], asay: ASay, say: Say, *, wait: bool = False) -> None:
        """Tell it now where it is time for it; otherwise it is left for the next call, or for :meth:`flush`.

        Nothing is told beside the work of an event loop: on Airflow 3.3 a question to Airflow that the loop's own
        thread asks meanwhile would fail.

        :param say: what :meth:`flush` tells it with.
        """
        with self._lock:
            self._events = _together(self._events, events)
            self._say = say
            if not wait and time.monotonic() < self._not_before:
                return
        await self._ago(asay, wait=wait)

    async def aflush(self, asay: ASay) -> None:
        """Tell what is left, when it is time."""
        if self._events:
            await self._ago(asay, wait=True)

    def flush(self) -> None:
        """Tell what is left, and wait for it."""
        if self._events and self._say is not None:
            self._go(self._say, wait=True)

    def complain(self, error: Exception) -> None:
        """Say in the log what went wrong, each kind once."""
        # The words of an error that is not ours may hold anything.
        told = str(error) if isinstance(error, Bitrix24Error) else type(error).__name__
        if told not in self._complaints:
            self._complaints.add(told)
            log.warning("The message about the run could not be brought up to date; the run goes on. %s", told)

    def _after(self, pause: float, *, later: bool) -> None:
        if later:
            self._due = True
            timer = threading.Timer(pause, self._told_later)
            timer.daemon = True
            timer.start()

    def _told_later(self) -> None:
        assert self._say is not None
        try:
            self._go(self._say)
        except Exception as error:
            self.complain(error)

    def _go(self, say: Say, *, wait: bool = False, later: bool = True) -> None:
        with self._saying:
            events = self._take()
            again = None
            try:
                # Another thread may have told it meanwhile.
                again = say(events, wait) if events else None
            finally:
                with self._lock:
                    self._settle(events, again)
                    if self._events:
                        self._after(max(0.0, self._not_before - time.monotonic()), later=later)

    async def _ago(self, asay: ASay, *, wait: bool) -> None:
        events = self._take()
        again = None
        try:
            again = await asay(events, wait)
        except asyncio.CancelledError:
            self._events = events + self._events
            raise
        finally:
            with self._lock:
                self._settle(events, again)

    def _take(self) -> tuple[Event, ...]:
        with self._lock:
            events, self._events = self._events, ()
        return events

    def _settle(self, events: tuple[Event, ...], again: float | None) -> None:
        """Events were shown, or are to be shown again at a time."""
        self._due = False
        pause = self._interval
        if again is not None:
            self._events = _together(events, self._events)
            pause = max(0.0, min(self._interval, again - time.time()))
        self._not_before = time.monotonic() + pause


def _together(events: tuple[Event, ...], more: Sequence[Event]) -> tuple[Event, ...]:
    """Two words that follow each other are one: only what is newest of either kind is to be shown."""
    for event in more:
        if events and _is_word(events[-1]) and _is_word(event):
            last = events[-1]
            progress = last.progress if event.progress is None else event.progress
            text = last.text if event.text is None else event.text
            events = (*events[:-1], replace(event, progress=progress, text=text))
        else:
            events = (*events, event)
    return events


def _is_word(event: Event) -> bool:
    return not event.task and not event.end
