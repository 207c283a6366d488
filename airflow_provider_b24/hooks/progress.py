"""How far a long reading or writing has come: lines in the log, or a bar in the terminal of one who waits before it.

Nothing is told of what takes a few seconds only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from typing import Any, ClassVar, Protocol, TypeVar

T = TypeVar("T")

# Seconds until the first line, and from a line to the next one: each time twice as long, to the longest.
_FIRST, _NEXT, _LONGEST = 10.0, 30.0, 120.0
# A bar comes sooner: somebody is looking.
_BAR_AFTER = 1.0


class _Ticking(Protocol):
    def monotonic(self) -> float: ...


class _Log(Protocol):
    def info(self, message: Any, /, *values: Any) -> Any: ...


class Progress:
    """Counts what has come, and tells it at a bearable rate.

    :param what: begins each line, such as ``"Reading crm.deal.list"``.
    :param log: takes the lines.
    :param share: tells which share has come by now, 0 to 1, or None where nobody knows; asked only for a line.
    :param clock: what tells the time. Default: the machine's.
    """

    def __init__(
        self,
        what: str,
        log: _Log,
        *,
        share: Callable[[], float | None] | None = None,
        clock: _Ticking | None = None,
    ) -> None:
        self.rows = 0
        self._what = what
        self._log = log
        self._share = share
        self._now = (clock or time).monotonic
        self._began = self._now()
        self._pause = _NEXT
        self._due = self._began + _FIRST
        self._told = False
        self._bar: _Bar | None = None
        self._by_hand = _by_hand()
        if self._by_hand:
            self._due = self._began + _BAR_AFTER

    def add(self, rows: int) -> None:
        """So many more have come."""
        self.rows += rows
        now = self._now()
        if now < self._due:
            return
        if self._by_hand and self._bar is None:
            self._bar = _Bar.shown(self._what)
            if self._bar is None:
                # Lines will do as well.
                self._by_hand = False
                self._due = self._began + _FIRST
        if self._bar is not None:
            self._due = now + _BAR_AFTER / 5
            self._bar.update(self._line(now), self._done())
        elif now >= self._due:
            self._due, self._pause = now + self._pause, min(2 * self._pause, _LONGEST)
            self._told = True
            self._log.info("%s: %s", self._what, self._line(now))

    def end(self, *, whole: bool) -> None:
        """Nothing more comes. Told where anything was told before.

        :param whole: whether everything has come; otherwise it failed, or nobody wanted the rest.
        """
        if self._bar is not None:
            self._bar.close()
        if not self._told and self._bar is None:
            return
        from airflow_provider_b24.chat.run_message import spell_duration

        seconds = self._now() - self._began
        self._log.info(
            "%s: %s %s rows in %s, %s a second",
            self._what,
            "all" if whole else "stopped after",
            f"{self.rows:,}",
            spell_duration(seconds),
            _rate(self.rows, seconds),
        )

    def _done(self) -> float | None:
        share = self._share() if self._share is not None else None
        return share if share is not None and 0 < share < 1 else None

    def _line(self, now: float) -> str:
        from airflow_provider_b24.chat.run_message import spell_duration

        seconds = now - self._began
        parts = [f"{self.rows:,} rows", f"{_rate(self.rows, seconds)} a second"]
        share = self._done()
        if share is not None:
            parts += [f"{int(share * 100)} %", f"about {spell_duration(seconds / share - seconds)} left"]
        return ", ".join(parts)


def progress(source: Iterable[T], told: Progress, rows: Callable[[T], int] = lambda _: 1) -> Generator[T, None, None]:
    """What comes from a source, as it is, with what there is to tell of it.

    :param told: counts it.
    :param rows: how many rows one piece has. Default: a piece is a row.
    """
    whole = False
    try:
        for piece in source:
            told.add(rows(piece))
            yield piece
        whole = True
    finally:
        told.end(whole=whole)


async def aprogress(
    source: AsyncIterable[T], told: Progress, rows: Callable[[T], int] = lambda _: 1
) -> AsyncGenerator[T, None]:
    """Like :func:`progress`."""
    whole = False
    try:
        async for piece in source:
            told.add(rows(piece))
            yield piece
        whole = True
    finally:
        told.end(whole=whole)


def _rate(rows: int, seconds: float) -> str:
    rate = rows / max(seconds, 0.001)
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def _by_hand() -> bool:
    """Whether somebody waits before a terminal: a task has a supervisor, and what it writes goes into a log."""
    runner: Any = sys.modules.get("airflow.sdk.execution_time.task_runner")
    if getattr(runner, "SUPERVISOR_COMMS", None) is not None:
        return False
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it is closed
        return False


class _Bar:
    """A bar of ``rich``, which Airflow has; a terminal has room for one."""

    _there: ClassVar[bool] = False

    def __init__(self, display: Any, task: Any) -> None:
        self._display = display
        self._task = task

    @classmethod
    def shown(cls, what: str) -> _Bar | None:
        """None where there is no rich, or where another bar has the terminal."""
        if _Bar._there:
            return None
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn
        except ImportError:
            return None
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[line]}"))
        # What is printed stays where it goes, which may be a file.
        display = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
        task = display.add_task(what, total=None, line="")
        display.start()
        _Bar._there = True
        return cls(display, task)

    def update(self, line: str, share: float | None) -> None:
        known = {} if share is None else {"total": 1.0, "completed": share}
        self._display.update(self._task, line=line, **known)

    def close(self) -> None:
        self._display.stop()
        _Bar._there = False
