"""The part of a conversation that goes by the execution time of methods: when they may be called, what replies told."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

from airflow_provider_b24.rest.errors import OperatingLimitError
from airflow_provider_b24.rest.operating import Allowance, resets_in
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Reply
from airflow_provider_b24.rest.steps import Ask, Step, Wait


def allowance_of(peer: Peer, method: str, calls: int = 1, *, take: bool = True) -> Generator[Step, Any, Allowance]:
    """When a method may be called, by its execution time; see :meth:`~.operating.OperatingBudget.allowance`."""
    now = peer.clock.monotonic()
    if peer.budget.is_calm(method, now):
        return Allowance(0.0)
    allowance: Allowance = yield from _asked(peer, partial(peer.budget.allowance, method, now, calls=calls, take=take))
    return allowance


def noted(peer: Peer, method: str, replies: Sequence[Reply]) -> Generator[Step, Any, None]:
    """Remember what the last of these replies says of the execution time of the method."""
    reply = replies[-1]
    if reply.operating is None or reply.operating < 0:
        return
    left = resets_in(reply.operating_reset_at, reply.finished_at, peer.clock.time())
    if not peer.budget.stays_calm(method, peer.clock.monotonic(), reply.operating, left):
        yield from _asked(peer, partial(peer.budget.note, method, reply.operating, left, len(replies)))


def close(peer: Peer, error: OperatingLimitError) -> Generator[Step, Any, float]:
    """Remember that the portal refuses a method; the seconds until it is worth another try, as the error tells now."""
    assert error.method is not None
    wait: float = yield from _asked(
        peer, partial(peer.budget.refused, error.method, peer.clock.monotonic(), error.retry_after)
    )
    error.retry_after = wait
    error.description = (
        f"blocked {_until(peer, wait)}: {error.description}" if error.description else _until(peer, wait)
    )
    return wait


def closed(
    peer: Peer, call: Call, error: OperatingLimitError, patience: Patience, waited: float
) -> Generator[Step, Any, float | None]:
    """Remember that the portal refuses the method of a call; None to give up, otherwise its next turn waits."""
    wait = yield from close(peer, error)
    return 0.0 if may_wait(call, patience, waited, wait) else None


def used_up(peer: Peer, method: str, allowance: Allowance) -> OperatingLimitError:
    """What is raised instead of a call that is not sent."""
    return OperatingLimitError(
        f"not sent, {_until(peer, allowance.wait)}: {spent(peer, allowance)}", method=method, retry_after=allowance.wait
    )


def spent(peer: Peer, allowance: Allowance) -> str:
    """Why a method is held back, as part of a sentence."""
    if allowance.refused:
        return "the portal has refused it, for its execution time of the last ten minutes is used up"
    return f"{allowance.used:.0f} of its {peer.budget.limit:.0f} s of execution time in ten minutes are used up"


def _asked(peer: Peer, question: Callable[[], Any]) -> Generator[Step, Any, Any]:
    """Have something asked of the budget: in a thread, if that may block an event loop."""
    return (yield Ask(question)) if peer.budget.blocking else question()


def _until(peer: Peer, wait: float) -> str:
    at = dt.datetime.fromtimestamp(peer.clock.time() + wait, dt.timezone.utc)
    return f"until {at:%H:%M:%S} UTC (in {math.ceil(wait)} s)"


def may_wait(call: Call, patience: Patience, waited: float, wait: float) -> bool:
    """Whether a call that has waited so long for its method waits so much longer."""
    return call.priority is not Priority.TYPING and waited + wait <= patience.operating


def await_allowance(
    peer: Peer, call: Call, patience: Patience, waited: float, *, calls: int = 1
) -> Generator[Step, Any, float]:
    """Wait until the method has execution time left; the seconds that this call has waited so far for it.

    :param calls: so many of the kind are sent together.
    """
    while (allowance := (yield from allowance_of(peer, call.method, calls))).wait:
        if not may_wait(call, patience, waited, allowance.wait):
            raise used_up(peer, call.method, allowance)
        waited += allowance.wait
        peer.tell_wait(call.method, allowance.wait, "operating_limit", spent(peer, allowance))
        yield Wait(allowance.wait)
    return waited
