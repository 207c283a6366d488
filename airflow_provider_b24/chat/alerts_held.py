"""What is told later, in one message: alerts that quiet hours have held back, and those that could not be sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

from airflow_provider_b24.chat import alerts
from airflow_provider_b24.chat.alerts import Event, Record
from airflow_provider_b24.chat.alerts_desk import AlertStore, Desk, merge, merge_and_tidy, record_of, send_once
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import Bitrix24Error, NotSentError, OutcomeUnknownError
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call
from airflow_provider_b24.rest.steps import Step

log = logging.getLogger(__name__)

_UNSENT = "unsent"


def hold(
    peer: Peer, desk: Desk, store: AlertStore, event: Event, *, night: str, lines: Sequence[str], well: bool = False
) -> Generator[Step, Any, None]:
    """Keep an event until the quiet hours are over.

    :param night: of the quiet hours.
    :param lines: of the tasks that failed in the run.
    """
    yield from _keep(peer, desk, store, desk.held_key, group=night, said=_said(desk, event, lines, well=well))


def leave(peer: Peer, desk: Desk, store: AlertStore, event: Event) -> Generator[Step, Any, None]:
    """Keep an event that could not be sent, though it may be later, for whoever calls next."""
    known = yield from record_of(store, desk.record_key(event))
    if alerts.is_told(known, event.key):
        return
    lines: list[str] = []
    if desk.rules.digest and not event.task_id:
        collected = yield from record_of(store, desk.digest_key(event))
        lines, _ = alerts.lines_of(collected, event.attempt)
    if event.kind in ("success", "dag_success") and not lines and not desk.rules.successes:
        # What was failing is still known as failing: the next success tells it.
        return
    yield from _keep(peer, desk, store, desk.unsent_key, group=_UNSENT, said=_said(desk, event, lines))
    if lines:
        emptied = partial(alerts.closed, group=event.attempt, empty=True)
        yield from merge(peer, store, desk.digest_key(event), emptied)
    told = partial(alerts.with_told, key=event.key, now=peer.clock.time())
    yield from merge_and_tidy(peer, store, desk.record_key(event), told, peer.clock.time())


def tell_held(peer: Peer, desk: Desk, store: AlertStore, now: float) -> Generator[Step, Any, None]:
    """Tell what was kept and may be told now: what was not sent, and each night that is over."""
    quiet = desk.rules.quiet
    if quiet is not None and quiet.night(now) is not None:
        return
    yield from _tell(peer, desk, store, desk.unsent_key, is_over=lambda group: True, now=now)
    if quiet is not None:
        yield from _tell(peer, desk, store, desk.held_key, is_over=lambda group: quiet.is_over(group, now), now=now)


def _said(desk: Desk, event: Event, lines: Sequence[str], *, well: bool = False) -> list[tuple[str, str]]:
    said = [(event.key, desk.wording.line(event, well=well, timed=True))]
    return [*said, *((f"{event.key}{number}", f"• {line}") for number, line in enumerate(lines))]


def _keep(
    peer: Peer, desk: Desk, store: AlertStore, key: str, *, group: str, said: Sequence[tuple[str, str]]
) -> Generator[Step, Any, None]:
    def keeping(held: Record) -> Record:
        for name, line in said:
            held = alerts.with_line(held, group, name, line)
        return held

    yield from merge(peer, store, key, keeping)


def _tell(
    peer: Peer, desk: Desk, store: AlertStore, key: str, *, is_over: Callable[[str], bool], now: float
) -> Generator[Step, Any, None]:
    record = yield from record_of(store, key)
    if not any(is_over(alerts.night_of(group)) for group in record):
        return
    yield from _reach(peer)
    # From now on nothing is added to what is told: who tells it at the same moment tells the very same.
    record = yield from merge(peer, store, key, partial(alerts.gathered, is_over=is_over))
    for batch in sorted(filter(alerts.is_batch, record)):
        lines, total = alerts.lines_of(record, batch)
        name = desk.key("batch", key, batch)
        hours = None if key == desk.unsent_key else desk.rules.quiet
        text = desk.wording.held(hours, lines, total)
        try:
            yield from send_once(peer, desk, store, desk.key("nights"), text, key=name, now=now, tag=name)
        except Bitrix24Error as error:
            if not error.permanent:
                raise
            # The next callback tries again; what has happened now is to be told in any case.
            log.warning("What was held back could not be told: %s", error)
            continue
        yield from merge(peer, store, key, partial(alerts.without_group, group=batch))


def _reach(peer: Peer) -> Generator[Step, Any, None]:
    """Make sure that the portal answers: as long as it does not, what is kept is kept together."""
    try:
        yield from converse(peer, Call("profile"))
    except OutcomeUnknownError as error:
        raise NotSentError(
            f"nothing was sent, for the portal does not answer: {error.description}",
            method=error.method,
            status=error.status,
            retry_after=error.retry_after,
        ) from None
    except Bitrix24Error as error:
        if not error.permanent:
            raise
