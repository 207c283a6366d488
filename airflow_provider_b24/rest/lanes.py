"""Several conversations with a portal side by side, whose results come out in order.

What is to be done next, and when there is enough, is decided by a :class:`Work`: pure, over values, and told what has
become of each conversation. A client carries it out, in threads or in tasks of its event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.steps import Step

T = TypeVar("T")

MOST_LANES = 40


def check_parallel(parallel: object) -> None:
    """Refuse what can not be a number of requests under way at once.

    :raises ConfigurationError: saying what can.
    """
    if isinstance(parallel, bool) or not isinstance(parallel, int) or not 1 <= parallel <= MOST_LANES:
        raise ConfigurationError(
            f"parallel is {parallel!r}", advice=f"It is how many requests are under way at once, 1 to {MOST_LANES}."
        )


@dataclass(frozen=True, eq=False)
class Lane:
    """A conversation that is held beside others.

    :ivar conversation: begins it.
    :ivar about: what it is for; only the work that made it looks at this.
    """

    conversation: Callable[[Peer], Generator[Step, Any, Any]] = field(repr=False)
    about: Any = None


class Work(Generic[T]):
    """Something that takes many conversations. Called from one thread only, whatever carries them out.

    :ivar width: how many lanes may be under way at once now; at least 1.
    """

    width: int = 1

    def wants(self) -> int:
        """How many items of its source it would take now."""
        return 0

    def offer(self, items: Sequence[Any]) -> None:
        """Take these items; fewer than it wanted are the last ones."""

    def begin(self) -> Lane | None:
        """The next lane to be opened beside those that are under way; None if there is none before one of them ends."""
        raise NotImplementedError

    def end(self, lane: Lane, outcome: Any) -> None:
        """Learn what a lane has come to: what its conversation returned, or the :class:`Bitrix24Error` it raised."""
        raise NotImplementedError

    def ready(self) -> list[T]:
        """What is ready to be given out and was not yet, in order.

        :raises Bitrix24Error: the failure that ends the work, when all that comes before it has been given out.
        """
        raise NotImplementedError

    def share(self) -> float | None:
        """How much has been given out, from 0 to 1; None where that is not known."""
        return None

    @property
    def over(self) -> bool:
        """Whether nothing is left to be done or given out."""
        raise NotImplementedError


def with_one_ahead(width: int) -> int:
    """How many lanes are open where so many may send at once.

    One more is ready to send while another's answer is read: reading one takes as long as a portal near by.
    """
    return width + 1 if width > 1 else 1


def given_up() -> Bitrix24Error:
    """What a lane that waits ends with when nobody wants the results any more."""
    from airflow_provider_b24.rest.errors import NotSentError

    return NotSentError("nobody waits for it any more")
