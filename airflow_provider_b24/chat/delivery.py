"""Posting a message exactly once, whatever dies in between. Pure: the store is asked, the portal is told.

What is under way is kept in a store that outlives the process, as one entry for each message:

``sent``
    It may be on its way: kept right before every request that posts. Only the dialog can tell what became of
    it, and not at once: a request may take effect until the portal gives it up (``Patience.late``). Found, it
    becomes ``posted``; not found for so long, it is sent again; and where the dialog does not tell, nobody guesses.
``posted``
    It is in the dialog, with this id.
``idle``
    The portal refused it, or was not reached: nothing is on its way.

Two may deliver at once: a copy of the task, or one that was given up and lives. A store that can only be read and
written does not keep them apart for certain, so they are kept apart by order: whoever means to send writes a claim
under a key of its own, then reads the dialog, and sends only if claim and entry are still as they were. The last to
claim sends; the others wait for what becomes of it.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from airflow_provider_b24.chat.looking import Sight, id_of, look, messages_of, page_of
from airflow_provider_b24.chat.recognition import FileMark, Marks, marks_of, new_uuid
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import (
    Bitrix24Error,
    DeliveryUnknownError,
    NotSentError,
    OutcomeUnknownError,
    UnexpectedReplyError,
)
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, as_number
from airflow_provider_b24.rest.steps import Ask, Send, Step, Wait

log = logging.getLogger(__name__)

# How often a message is sent in one go; the next try of the task may begin again.
_MOST_SENDS = 3
# Seconds after which a claim of somebody who did not send counts no more.
_CLAIM_LASTS = 10.0
# Pauses between looks into the dialog, in seconds; doubled each time.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
# A pause longer than this is told in the log.
_LONG_WAIT = 5.0
# How long reading the claim and keeping the entry may take, in seconds, before the claim is read again.
_QUICK = 1.0
_CLAIM = "/claim"


class Store(Protocol):
    """What outlives the process: JSON values by key."""

    def get(self, key: str, /) -> Any:
        """The value, or None."""

    def __setitem__(self, key: str, value: Any, /) -> None:
        """Keep a value."""


@dataclass(frozen=True)
class Memory:
    """Where it is kept what becomes of one message.

    :ivar store: the store; by default one that ends with the process.
    :ivar key: the message's name in it.
    :ivar lasting: whether the store outlives the process, so that whoever tries again knows what was sent.
    :ivar life: an entry of another life counts as none; for a task, what changes when it is cleared.
    :ivar any_life: have entries of all lives count.
    :ivar since: for a retry without a store: an earlier try may have posted it, at this time at the earliest
        (epoch seconds).
    :ivar seed: of a bot's message: two copies of one try have the same, so that they send the same UUID.
    :ivar crowded: several are likely to begin within a moment, each over a store that takes its time: whoever claims it
        waits for a second before he goes on, by when all others have seen the claim or have left their entry.
    """

    store: Store = field(default_factory=dict[str, Any], repr=False)
    key: str = "message"
    lasting: bool = False
    life: str = ""
    any_life: bool = False
    since: float | None = None
    seed: str = ""
    crowded: bool = False


@dataclass(frozen=True)
class Posting:
    """A message that is to be posted.

    :ivar dialog_id: where, as an id.
    :ivar message: its text.
    :ivar attach: its attachment.
    :ivar author: who will be its author, if that is not the account behind the credential: a bot, or 0.
    :ivar call: makes the call that posts it, with this UUID where it can have one.
    :ivar has_uuid: whether it can.
    :ivar readable: whether the account can read the dialog; a bot's private talks it can not.
    :ivar files: of the files in it.
    :ivar sending: seconds that the request may take to be sent, where files go with it.
    """

    dialog_id: str
    message: str | None = field(repr=False)
    attach: object = field(repr=False)
    author: int | None
    call: Callable[[str], Call] = field(repr=False)
    has_uuid: bool = False
    readable: bool = True
    files: tuple[FileMark, ...] = ()
    sending: float = 0.0


@dataclass(frozen=True)
class _Entry:
    """What is known of a message that is under way.

    :ivar claim: of who sent it.
    :ivar at: when the last request left (epoch seconds).
    :ivar after: the id of the dialog's last message before; None if that could not be read.
    :ivar sending: how long after ``at`` the last byte of the request may have left, in seconds.
    :ivar id: of the message.
    :ivar files: the ids of the files in it.
    """

    stage: Literal["idle", "sent", "posted"]
    life: str
    claim: str = ""
    at: float = 0.0
    dialog: str = ""
    readable: bool = True
    after: int | None = None
    marks: Marks | None = None
    id: int = 0
    sending: float = 0.0
    files: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        kept = {name: value for name, value in vars(self).items() if value is not None}
        for name in ("sending", "files"):
            # Only where there are files.
            if not kept[name]:
                del kept[name]
        return {
            **kept,
            **({"marks": self.marks.as_json()} if self.marks else {}),
            **({"files": list(self.files)} if self.files else {}),
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> _Entry:
        marks = kept.get("marks")
        files = tuple(kept.get("files", ()))
        entry = cls(**{**kept, "marks": Marks.of_json(marks) if marks else None, "files": files})
        if entry.stage not in ("idle", "sent", "posted") or (entry.stage == "sent" and not entry.marks):
            raise LookupError(entry.stage)
        return entry


Delivery = Generator[Step, Any, int]


def deliver(peer: Peer, posting: Posting, memory: Memory) -> Delivery:
    """Post a message, unless that has been done.

    :return: its id.
    :raises DeliveryUnknownError: if it may or may not have been posted, and the dialog does not tell.
    :raises OperatingLimitError: if the execution time of a method is used up. Nothing is sent before it comes back;
        with a lasting store an earlier request may be under way, which the next delivery settles.
    :raises NotSentError: if it certainly was not, because the portal was not reached or gave no usable answer.
    :raises Bitrix24Error: if the portal refuses it.
    """
    claim = secrets.token_hex(8)
    entry = yield from _read(memory)
    if entry is None and memory.since is not None:
        entry = yield from _of_an_earlier_try(peer, posting, memory)
    for _ in range(_MOST_SENDS):
        found = yield from _settle(peer, entry, memory, claim)
        if isinstance(found, int):
            return found
        sent = yield from _attempt(peer, posting, memory, found, claim)
        if isinstance(sent, int):
            return sent
        entry = sent
    found = yield from _settle(peer, entry, memory, claim)
    if isinstance(found, int):
        return found
    yield from _give_up(memory)
    raise NotSentError(
        f"sent {_MOST_SENDS} times without a usable answer; the dialog shows that nothing was posted",
        method=posting.call("").method,
        advice="The portal or a proxy before it is in trouble; try again later.",
    )


def recall(peer: Peer, memory: Memory) -> Generator[Step, Any, int | None]:
    """What became of a message that an earlier try may have posted.

    :return: its id, or None if it was not posted and will not be any more.
    :raises DeliveryUnknownError: if the dialog does not tell.
    """
    found = yield from _settle(peer, (yield from _read(memory)), memory)
    return found if isinstance(found, int) else None


def posted_files(memory: Memory) -> Generator[Step, Any, tuple[int, ...]]:
    """The ids of the files in a message that was posted; empty where they could not be kept."""
    entry = yield from _read(memory)
    return entry.files if entry is not None and entry.stage == "posted" else ()


def _attempt(
    peer: Peer, posting: Posting, memory: Memory, before: _Entry | None, claim: str
) -> Generator[Step, Any, int | _Entry | None]:
    """Send it once: its id, or the entry that has to be settled now (which may be that of another copy).

    :param before: the entry that allows it.
    """
    yield from _write(memory, {"claim": claim, "at": peer.clock.time(), "life": memory.life}, _CLAIM)
    claimed = peer.clock.monotonic()
    failure: Bitrix24Error | None = None
    try:
        entry = yield from _prepared(peer, posting, memory, before, claim)
        if memory.crowded and (left := claimed + _QUICK - peer.clock.monotonic()) > 0:
            yield Wait(left)
    except Bitrix24Error as caught:
        failure = _nothing_sent(caught)
    else:
        sent = yield from _send(peer, posting, memory, before, entry)
        if not isinstance(sent, Bitrix24Error):
            return sent
        failure = sent
    yield from _give_up(memory)
    raise failure.with_traceback(None)


def _send(
    peer: Peer, posting: Posting, memory: Memory, before: _Entry | None, entry: _Entry
) -> Generator[Step, Any, int | _Entry | Bitrix24Error | None]:
    """The conversation that posts it; before each of its requests it is made sure that nobody else is sending."""
    assert entry.marks is not None
    conversation = converse(peer, posting.call(entry.marks.uuid))
    outcome: Any = None
    result: Any = None
    failure: Bitrix24Error | None = None
    failed: Bitrix24Error | None = None
    while True:
        try:
            step = conversation.send(outcome) if failed is None else conversation.throw(failed)
        except StopIteration as stop:
            result = stop.value.result
            break
        except Bitrix24Error as caught:
            failure = caught
            break
        quick = _QUICK
        while isinstance(step, Send):
            began = peer.clock.time()
            claimed = yield from _claim(memory)
            latest = yield from _read(memory)
            if claimed.get("claim") != entry.claim or latest != before:
                conversation.close()
                if latest is not None and latest.claim == entry.claim:
                    # Nothing of ours is on its way, and this may have taken the place of what another copy kept: its
                    # message may have another UUID.
                    latest = replace(latest, marks=replace(entry.marks, uuid=""))
                    yield from _write(memory, latest.as_json())
                return latest
            before = entry = replace(entry, at=peer.clock.time())
            yield from _write(memory, entry.as_json())
            # Whoever claims it now sees the entry; and whoever waits for this request counts from its time. Both hold
            # only if no time passes here.
            if peer.clock.time() - began < quick:
                break
            quick *= 2
        failed = None
        try:
            outcome = yield step
        except Bitrix24Error as caught:
            failed = caught
    if failure is not None:
        if not failure.effect_unknown:
            return failure
        log.warning(
            "The answer to a message for %s was lost (%s); it is looked for in the dialog",
            entry.dialog,
            failure.description,
        )
        return (yield from _left(peer, entry, memory))
    posted, files = _posted(result)
    if not posted:
        return (yield from _left(peer, entry, memory))
    yield from _keep(memory, entry, posted, files)
    return posted


def _left(peer: Peer, entry: _Entry, memory: Memory) -> Generator[Step, Any, _Entry]:
    """A request with files has left by now, however long that might have taken: nobody has to wait for it any more."""
    if not entry.sending or (yield from _read(memory)) != entry:
        return entry
    left = replace(entry, at=peer.clock.time(), sending=0.0)
    yield from _write(memory, left.as_json())
    return left


def _posted(result: Any) -> tuple[int, list[int]]:
    """The ids of a message and of its files, from the answer of any method that posts."""
    if not isinstance(result, Mapping):
        return int(as_number(result) or 0), []
    named = next((result[name] for name in ("id", "messageId", "MESSAGE_ID") if name in result), None)
    file = result.get("file")
    cards = [file] if isinstance(file, Mapping) else list((_mapping(result.get("FILES"))).values())
    files = [int(number) for card in cards if isinstance(card, Mapping) and (number := as_number(card.get("id")))]
    return int(as_number(named) or 0), files


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _uuid(posting: Posting, memory: Memory, before: _Entry | None, claim: str) -> str:
    """The UUID to send; the same again if one was sent, for a portal that goes by it posts it once at most."""
    if not posting.has_uuid:
        return ""
    if before is not None and before.marks is not None and before.marks.uuid:
        return before.marks.uuid
    return new_uuid(f"{memory.seed} {memory.key}" if memory.seed else claim)


def _prepared(
    peer: Peer, posting: Posting, memory: Memory, before: _Entry | None, claim: str
) -> Generator[Step, Any, _Entry]:
    """What is needed to recognise the message later; read before it is sent."""
    author = posting.author
    if author is None:
        author = yield from _account(peer)
    after: int | None = None
    if posting.readable:
        reply: Any = None
        try:
            reply = yield from converse(peer, page_of(posting.dialog_id, 1))
        except Bitrix24Error as caught:
            # It need not be there yet, or may be written by those who can not read it; posting will tell.
            if not caught.permanent:
                raise
        messages = None if reply is None else messages_of(reply.result)
        if messages is not None:
            after = max(map(id_of, messages), default=0)
    uuid = _uuid(posting, memory, before, claim)
    marks = marks_of(author, posting.message, posting.attach, uuid, posting.files)
    return _Entry(
        "sent",
        memory.life,
        claim,
        0.0,
        posting.dialog_id,
        posting.readable,
        after,
        marks,
        sending=posting.sending,
    )


def _of_an_earlier_try(peer: Peer, posting: Posting, memory: Memory) -> Generator[Step, Any, _Entry]:
    """The entry that an earlier try would have left, had it had a store: sent at any time until now."""
    author = posting.author
    if author is None:
        author = yield from _account(peer)
    marks = marks_of(author, posting.message, posting.attach, files=posting.files)
    now = peer.clock.time()
    sending = posting.sending
    entry = _Entry("sent", memory.life, "", now, posting.dialog_id, posting.readable, None, marks, sending=sending)
    yield from _write(memory, entry.as_json())
    return entry


def _account(peer: Peer) -> Generator[Step, Any, int]:
    """The user behind the credential."""
    if isinstance(peer.credential, Webhook):
        return int(peer.credential.user_id)
    if peer.account is None:
        reply = yield from converse(peer, Call("profile"))
        named = as_number(reply.result.get("ID")) if isinstance(reply.result, Mapping) else None
        if not named:
            raise UnexpectedReplyError("the portal does not say whose tokens these are", method="profile")
        peer.account = int(named)
    return peer.account


def _settle(
    peer: Peer, entry: _Entry | None, memory: Memory, claim: str = ""
) -> Generator[Step, Any, int | _Entry | None]:
    """Find out what became of it: its id, or the entry after which it may be sent.

    :param claim: of the one who asks.
    """
    pause = _FIRST_PAUSE
    seen = peer.clock.time()
    told = False
    while True:
        began = peer.clock.time()
        sight = Sight()
        if entry is not None and entry.stage == "posted":
            return entry.id
        over = yield from _claimed_until(peer, memory, claim)
        if entry is not None and entry.stage == "sent":
            # It was kept before it was seen here, whatever the clock of who kept it says.
            over = max(over, min(entry.at, seen) + entry.sending + peer.patience.late)
            sight = yield from _look(peer, entry, memory)
            if sight.id:
                yield from _keep(memory, entry, sight.id, sight.files)
                return sight.id
        # Somebody else may have gone on meanwhile. An entry of an earlier try that had no store is in none.
        latest = (yield from _read(memory)) or entry
        if latest == entry:
            if began >= over:
                if sight.held_back is not None and memory.lasting:
                    # Who is able to wait without a worker slot does so, and looks again.
                    raise sight.held_back.with_traceback(None)
                if sight.problem:
                    raise _unknown(entry, memory, sight)
                return entry
            if pause > _LONG_WAIT and not told:
                told = True
                until = dt.datetime.fromtimestamp(over, dt.timezone.utc)
                log.info("A message is not in its dialog yet; %s it may be sent", until.strftime("after %H:%M:%S UTC"))
            yield Wait(min(pause, max(0.05, over - peer.clock.time())))
            pause = min(_LONGEST_PAUSE, 2 * pause)
            latest = (yield from _read(memory)) or entry
        if latest != entry:
            entry, seen = latest, peer.clock.time()


def _look(peer: Peer, entry: _Entry, memory: Memory) -> Generator[Step, Any, Sight]:
    assert entry.marks is not None
    if not entry.readable:
        return Sight(problem="the account behind the connection can not read a bot's private talks")
    since = memory.since if memory.since is not None else entry.at
    return (yield from look(peer, entry.dialog, entry.marks, after=entry.after, since=since))


def _claimed_until(peer: Peer, memory: Memory, claim: str) -> Generator[Step, Any, float]:
    """Until when somebody else may be about to send it; long ago where nobody is."""
    claimed = yield from _claim(memory)
    at = as_number(claimed.get("at")) or 0.0
    # A claim from the future was made by a clock that goes wrong.
    theirs = claimed.get("claim") not in (None, "", claim) and at < peer.clock.time() + _CLAIM_LASTS
    # A task that was cleared posts anew, whoever of its former life may be about to.
    theirs = theirs and (memory.any_life or claimed.get("life") == memory.life)
    return at + _CLAIM_LASTS if theirs else 0.0


def _read(memory: Memory) -> Generator[Step, Any, _Entry | None]:
    kept = yield Ask(lambda: memory.store.get(memory.key), blocking=memory.lasting)
    if kept is None:
        return None
    entry = None
    with suppress(LookupError, TypeError, ValueError, AttributeError):
        entry = _Entry.of_json(kept)
    if entry is None:
        raise DeliveryUnknownError(
            f"what was kept of it under {memory.key!r} can not be read",
            advice="Look in the dialog whether the message is there; delete the key from the task's state store.",
        )
    return entry if memory.any_life or entry.life == memory.life else None


def _claim(memory: Memory) -> Generator[Step, Any, Mapping[str, Any]]:
    claimed = yield Ask(lambda: memory.store.get(memory.key + _CLAIM), blocking=memory.lasting)
    return claimed if isinstance(claimed, Mapping) else {}


def _write(memory: Memory, kept: Mapping[str, Any], suffix: str = "") -> Generator[Step, Any, None]:
    def keep() -> None:
        memory.store[memory.key + suffix] = kept

    yield Ask(keep, blocking=memory.lasting)


def _give_up(memory: Memory) -> Generator[Step, Any, None]:
    """Nothing is on its way, and nobody is about to send."""
    yield from _write(memory, _Entry("idle", memory.life).as_json())
    yield from _write(memory, {}, _CLAIM)


def _keep(memory: Memory, entry: _Entry, message_id: int, files: Iterable[int] = ()) -> Generator[Step, Any, None]:
    """Keep the ids; that this fails is no reason to fail, for the dialog tells it as well."""

    def keep() -> None:
        try:
            memory.store[memory.key] = _Entry(
                "posted", memory.life, entry.claim, entry.at, entry.dialog, id=message_id, files=tuple(files)
            ).as_json()
        except Exception as error:
            log.warning("The id of message %s could not be kept (%s)", message_id, type(error).__name__)

    yield Ask(keep, blocking=memory.lasting)


def _nothing_sent(error: Bitrix24Error) -> Bitrix24Error:
    """An error of what was read before posting: whatever became of that, nothing was posted."""
    if not isinstance(error, OutcomeUnknownError):
        return error
    return NotSentError(
        f"nothing was posted, for the dialog could not be read before: {error.description}",
        method=error.method,
        status=error.status,
        advice=error.advice,
        retry_after=error.retry_after,
    )


def _unknown(entry: _Entry | None, memory: Memory, sight: Sight) -> DeliveryUnknownError:
    assert entry is not None
    moment = dt.datetime.fromtimestamp(entry.at, dt.timezone.utc).isoformat(timespec="seconds")
    error = DeliveryUnknownError(
        f"a message was sent to {entry.dialog} at {moment}, and whether it was posted is not known: {sight.problem}"
    )
    if memory.lasting and sight.passing:
        error.permanent = False
        error.advice = f"The next try looks again. {error.advice}"
    elif not memory.lasting:
        error.advice = "Look in the dialog before repeating it."
    return error
