"""Carrying out what is decided about an event: once, in bounded time, whoever else is at it. Pure, like a conversation.

What is known of earlier alerts is read from a store and written to it; every message is posted by way of
:mod:`~airflow_provider_b24.chat.delivery`, with an entry of its own in the same store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from airflow_provider_b24.chat import alerts
from airflow_provider_b24.chat.alerts import Episode, Event, Record
from airflow_provider_b24.chat.alerts_desk import (
    AlertStore,
    Desk,
    StoreFailedError,
    merge,
    merge_and_tidy,
    record_of,
    send_once,
)
from airflow_provider_b24.chat.alerts_held import hold, leave, tell_held
from airflow_provider_b24.chat.alerts_text import Wording
from airflow_provider_b24.chat.delivery import Memory
from airflow_provider_b24.rest.errors import Bitrix24Error, NotEditableError, NotFoundError, OutcomeUnknownError
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.steps import Send, Step, Wait

log = logging.getLogger(__name__)

T = TypeVar("T")

# A callback delays whoever runs it: a worker, the dag-processor, a triggerer. In seconds.
BUDGET = 60.0
PATIENCE = Patience(tries=2, limits=10.0, operating=0.0, answer=10.0)
# After this pause it is looked whether another failure came.
_GATHERS = 1.0
# The pause before it is sent again, doubled each time; and how long another try should have.
_FIRST_PAUSE, _ENOUGH = 1.0, 10.0
# For each text in which people are mentioned, in seconds.
_LONGEST_SEARCH = 5.0


def alert(peer: Peer, desk: Desk, event: Event) -> Generator[Step, Any, str]:
    """Tell of an event what is to be told, once.

    :return: what was done, for the log.
    :raises OutcomeUnknownError: if it may or may not have been told.
    :raises Bitrix24Error: if it was not told.
    """
    try:
        return (yield from within(peer, _told(peer, desk, event), BUDGET))
    except Bitrix24Error as error:
        if desk.store is not None and not error.permanent and not error.effect_unknown:
            with suppress(StoreFailedError):
                yield from leave(peer, desk, desk.store, event)
        raise


def mentioning(peer: Peer, wording: Wording) -> Generator[Step, Any, Wording]:
    """The wording in which people that the author's own parts name are mentioned, if they can be found in time."""
    from airflow_provider_b24.chat.people import with_mentions

    found: dict[str, str] = {}
    for name in ("title", "message", "footer"):
        if text := getattr(wording, name):
            try:
                found[name] = yield from within(peer, with_mentions(peer, text), _LONGEST_SEARCH)
            except Bitrix24Error as error:
                log.warning("Who is mentioned stays as it is written: %s", error)
    return replace(wording, **found)  # type: ignore[arg-type]


def within(peer: Peer, conversation: Generator[Step, Any, T], seconds: float) -> Generator[Step, Any, T]:
    """A conversation that takes no longer than this, whatever the portal does.

    :raises OutcomeUnknownError: if there was no time for more.
    """
    end = peer.clock.monotonic() + seconds
    outcome: Any = None
    failure: Bitrix24Error | None = None
    try:
        while True:
            try:
                step = conversation.send(outcome) if failure is None else conversation.throw(failure)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            left = end - peer.clock.monotonic()
            if left <= 0 or (isinstance(step, Wait) and step.seconds > left):
                raise OutcomeUnknownError(
                    f"the portal let this wait for {seconds:.0f} s, after which it is given up",
                    advice="It may have been sent or not: look where it was to go.",
                )
            if isinstance(step, Send):
                step = replace(step, deadline=left if step.deadline is None else min(left, step.deadline))
            failure = None
            try:
                outcome = yield step
            except Bitrix24Error as caught:
                failure = caught
    finally:
        conversation.close()


def _told(peer: Peer, desk: Desk, event: Event) -> Generator[Step, Any, str]:
    """Try until it is told, as long as there is time and it is certain that nothing was sent twice."""
    end = peer.clock.monotonic() + BUDGET - _ENOUGH
    pause = _FIRST_PAUSE
    while True:
        try:
            return (yield from _tried(peer, desk, event))
        except Bitrix24Error as error:
            wait = max(pause, error.retry_after or 0.0)
            if error.permanent or error.effect_unknown or peer.clock.monotonic() + wait > end:
                raise
            log.info("An alert is sent again in %.0f s: %s", wait, error)
        yield Wait(wait)
        pause *= 2


def _tried(peer: Peer, desk: Desk, event: Event) -> Generator[Step, Any, str]:
    if desk.store is not None:
        try:
            return (yield from _decided(peer, desk, desk.store, event))
        except StoreFailedError as error:
            log.warning("What is known of earlier alerts is left out of account: %s", error)
    return (yield from _without_store(peer, desk, event))


def _decided(peer: Peer, desk: Desk, store: AlertStore, event: Event) -> Generator[Step, Any, str]:
    now = peer.clock.time()
    night = None if desk.rules.quiet is None else desk.rules.quiet.night(now)
    yield from tell_held(peer, desk, store, now)
    known = yield from record_of(store, desk.record_key(event))
    if alerts.is_told(known, event.key):
        return (yield from _Teller(peer, desk, store, event, now, night).say_why(known))
    lines: list[str] = []
    total = 0
    if desk.rules.digest and event.kind == "failure":
        line = partial(alerts.with_line, group=event.attempt, key=event.key, line=desk.wording.line(event))
        record = yield from merge(peer, store, desk.digest_key(event), line)
        if not alerts.is_closed(record, event.attempt):
            yield from _Teller(peer, desk, store, event, now, night).note()
            return "collected for the message about the run"
    elif desk.rules.digest and event.kind in ("dag_failure", "dag_success"):
        lines, total = yield from _collected(peer, desk, store, event)
    teller = _Teller(peer, desk, store, event, now, night, lines, total)
    if event.kind in ("success", "dag_success") and not total:
        told = yield from teller.over()
    elif teller.is_held:
        told = yield from teller.hold()
    elif event.kind in ("failure", "dag_failure"):
        told = yield from teller.failure()
    else:
        told = yield from teller.single()
    if total:
        emptied = partial(alerts.closed, group=event.attempt, empty=True)
        yield from merge(peer, store, desk.digest_key(event), emptied)
    return told


def _collected(peer: Peer, desk: Desk, store: AlertStore, event: Event) -> Generator[Step, Any, tuple[list[str], int]]:
    """What the tasks of a run have left to the message about it; those that come later tell it by themselves."""
    if event.kind == "dag_failure":
        # A task is known to have failed before its callback is called: the run may be told of first.
        yield Wait(_GATHERS)
    record = yield from record_of(store, desk.digest_key(event))
    if event.kind == "dag_failure" or alerts.lines_of(record, event.attempt)[1]:
        record = yield from merge(peer, store, desk.digest_key(event), partial(alerts.closed, group=event.attempt))
    return alerts.lines_of(record, event.attempt)


@dataclass(frozen=True)
class _Teller:
    """Tells one event.

    :ivar lines: of the tasks that failed in the run.
    """

    peer: Peer
    desk: Desk
    store: AlertStore
    event: Event
    now: float
    night: str | None
    lines: Sequence[str] = ()
    total: int = 0

    @property
    def is_held(self) -> bool:
        """Whether it has to wait for the end of the quiet hours."""
        return self.night is not None and self.event.severity(self.desk.rules.severity) not in self.desk.rules.loud

    def hold(self, *, well: bool = False) -> Generator[Step, Any, str]:
        """Keep it until the quiet hours are over."""
        assert self.night is not None
        yield from hold(self.peer, self.desk, self.store, self.event, night=self.night, lines=self.lines, well=well)
        yield from self.note()
        return "held back until the quiet hours are over"

    def single(self) -> Generator[Step, Any, str]:
        """Tell what happens once."""
        key = self.desk.key("event", self.event.key)
        message = yield from self._send(self._text(), key, tag=key)
        yield from self.note()
        return f"sent as {message}"

    def note(self) -> Generator[Step, Any, Record]:
        """Keep that it was told, or will be."""
        return (yield from self._merge(lambda record: alerts.with_told(record, self.event.key, self.now)))

    def failure(self) -> Generator[Step, Any, str]:
        """Tell a failure, or count it where it is told already."""
        event = self.event
        record, is_news = yield from self._claim()
        claim = alerts.claim_of(record, event.key)
        if claim is None:
            return (yield from self.say_why(record, is_news=is_news))
        # Another callback about the same event may know more, or less.
        said = replace(self, event=replace(event, error=event.error or claim.error))
        signature = claim.episode.partition(".")[0]
        episode = alerts.episode_with(record, id=claim.episode) or Episode(claim.episode, self.now)
        tag = self.desk.key("failure", event.about, signature)
        if not episode.message:
            message = yield from self._send(said._text(), self._name(episode), tag=tag)
            episode = replace(episode, message=message)

        def counting(held: Record) -> Record:
            held = alerts.with_failure(held, event, episode, signature)
            return alerts.with_told(held, event.key, self.now, bare=not said.event.error)

        record = yield from self._merge(counting)
        counted = alerts.episode_with(record, id=episode.id) or episode
        if len(counted.events) > 1:
            # Many parts of a task fail at once: the last of them to be counted tells the number.
            yield Wait(_GATHERS)
            record = yield from self._merge(counting)
            counted = alerts.episode_with(record, id=episode.id) or episode
            if counted.events and counted.events[-1] != event.key:
                return f"counted in {counted.message}"
        elif not is_news:
            return f"sent as {episode.message}"
        text = said._text(count=counted.count, last=counted.last)
        try:
            message = yield from self.desk.way.change(self.peer, counted.message, text, tag=tag)
        except (NotEditableError, NotFoundError):
            if len(counted.events) <= 1:
                return f"sent as {episode.message}"
            # The time in which it may be edited is over, or it was deleted.
            message = yield from self._send(text, self.desk.key("failure", event.about, event.key), tag=tag)
        if message != counted.message:
            moved = replace(counted, message=message)
            yield from self._merge(lambda held: alerts.with_failure(held, event, moved, signature))
        return f"counted in {message}: {counted.count} times"

    def say_why(self, record: Record, *, is_news: bool = False) -> Generator[Step, Any, str]:
        """Add the exception to what was told before, if that was by a callback that did not know it."""
        if not self.event.error or not (is_news or alerts.is_bare(record, self.event.key)):
            return "told before"
        episode = alerts.episode_with(record, event=self.event.key)
        if episode is not None and episode.message and len(episode.events) == 1:
            tag = self.desk.key("failure", self.event.about, episode.id.partition(".")[0])
            # Without it the message is true as well.
            with suppress(NotEditableError, NotFoundError):
                yield from self.desk.way.change(self.peer, episode.message, self._text(), tag=tag)
        yield from self.note()
        return "told before; with the exception now"

    def _claim(self) -> Generator[Step, Any, tuple[Record, bool]]:
        """Say that a failure is about to be told: the record, and whether nobody before knew the exception."""
        event = self.event
        is_news = False

        def claiming(held: Record) -> Record:
            nonlocal is_news
            before = alerts.claim_of(held, event.key)
            is_news = is_news or (before is not None and bool(event.error) and not before.error)
            held = alerts.with_claim(held, event, self.desk.rules, self.now)
            claim = alerts.claim_of(held, event.key)
            if claim is None or not self.desk.way.keeps_entries:
                return held
            episode = alerts.episode_with(held, id=claim.episode) or Episode(claim.episode, self.now)
            return held if episode.message else alerts.with_entry(held, self._name(episode), self.now)

        yield from self._merge(claiming)
        # By then whoever begins at the same moment, and knows another exception, has seen it or is seen.
        yield Wait(_GATHERS)
        record = yield from self._merge(claiming)
        return record, is_news

    def _name(self, episode: Episode) -> str:
        """Of the delivery of its message."""
        return self.desk.key("failure", self.event.about, episode.id)

    def over(self) -> Generator[Step, Any, str]:
        """Tell that it succeeds again, if it was failing."""
        event = self.event
        record = yield from record_of(self.store, self._about)
        if record.get("episodes"):
            record = yield from self._merge(lambda held: alerts.with_success(held, event))
        episodes = alerts.recovered(record)
        if not episodes:
            if not self.desk.rules.successes:
                return "nothing to tell"
            return (yield from (self.hold() if self.is_held else self.single()))
        signature, latest = episodes[-1]
        if self.night is not None and "info" not in self.desk.rules.loud:
            told = yield from self.hold(well=True)
        else:
            key = self.desk.key("over", event.about, latest.id)
            tag = self.desk.key("failure", event.about, signature)
            text = self.desk.wording.recovered(event)
            message = yield from self._send(text, key, tag=tag, reply_id=latest.message)
            told = f"recovered, sent as {message}"
        over = [episode for _, episode in episodes]
        turn = alerts.turn_of(record)

        def ending(held: Record) -> Record:
            held = alerts.without_episodes(held, over, turn)
            return alerts.with_told(held, event.key, self.now)

        yield from self._merge(ending)
        return told

    @property
    def _about(self) -> str:
        return self.desk.record_key(self.event)

    def _text(self, *, count: str = "1", last: float = 0.0) -> str:
        return self.desk.wording.alert(self.event, count=count, last=last, lines=self.lines, total=self.total)

    def _send(self, text: str, key: str, *, tag: str, reply_id: int | None = None) -> Generator[Step, Any, int]:
        return (
            yield from send_once(
                self.peer, self.desk, self.store, self._about, text, key=key, now=self.now, tag=tag, reply_id=reply_id
            )
        )

    def _merge(self, change: Callable[[Record], Record]) -> Generator[Step, Any, Record]:
        return (
            yield from merge_and_tidy(
                self.peer, self.store, self._about, lambda held: change({**held, **self._title}), self.now
            )
        )

    @property
    def _title(self) -> Record:
        return {"about": self.event.about}


def _without_store(peer: Peer, desk: Desk, event: Event) -> Generator[Step, Any, str]:
    """Tell it where nothing can be known of other events: nothing is counted, collected or held back."""
    if event.kind in ("success", "dag_success") and not desk.rules.successes:
        return "nothing to tell"
    if desk.alone is None and (yield from desk.way.was_sent(peer, desk.wording.stable(event))):
        return "told before"
    memory = desk.alone or Memory()
    message = yield from desk.way.send(peer, desk.wording.alert(event), memory=memory, tag=desk.key("event", event.key))
    return f"sent as {message}"
