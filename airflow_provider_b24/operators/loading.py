"""One load on its way: what a later try has to know of it, and where its rows go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


class Target(Protocol):
    """Where the rows of one load go."""

    def store(self, rows: list[Any]) -> bool:
        """Take rows.

        :return: whether all rows so far are safe, so that a later try need not read them again.
        """

    def secure(self) -> bool:
        """Make safe what was taken, for the task is about to pause or to fail.

        :return: as of :meth:`store`.
        """

    def kept(self) -> dict[str, Any]:
        """What a later try has to know to go on behind the rows that are safe; plain values."""

    def finish(self) -> dict[str, Any]:
        """Make the load visible: it is whole.

        :return: counts and paths, for XCom.
        """


@dataclass
class Load:
    """One load, over all tries of its task; plain values.

    :ivar life: the tries that belong together; see :func:`~.hooks.task_state.life_of`.
    :ivar fingerprint: tells what is loaded from anything else.
    :ivar since: see :class:`~.operators.marks.Window`; so is ``until``, and ``moves``.
    :ivar began: the portal's time before the first row was read.
    :ivar started: the same by this host's clock (epoch seconds).
    :ivar after: the key of the last row that is safe; None before there is one.
    :ivar rows: how many rows are safe.
    :ivar kept: what the target has to know to go on.
    """

    life: str
    fingerprint: str
    since: str | None
    until: str | None
    moves: bool
    began: str
    started: float
    after: int | str | None = None
    rows: int = 0
    kept: dict[str, Any] = field(default_factory=dict)
