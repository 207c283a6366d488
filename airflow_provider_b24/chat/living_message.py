"""A message that several processes keep up to date: posted once, edited as things move. Pure.

What they have to know of each other is kept in a store that all of them share, as one record for each message: its id,
when it was edited last, and what is known of its subject. A store that can only be read and written does not keep two
of them apart, so whoever edits writes a mark of his own into the record before, and reads the record after: where
somebody else has left a mark meanwhile, nobody can say whose edit came last, and what is newest is shown once more.

Edits that come too fast become one. Who comes too early writes down what is new, promises to show it when it is time,
and does so; others who come before that leave it to him.

The end has nobody after it who would make up for it. So it is tried for longer, and its text is kept in the record
before: where it could not be shown, whoever comes next shows it, of this subject or of another of its kind.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import secrets
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_b24.chat.delivery import Memory, Store
from airflow_provider_b24.rest.errors import Bitrix24Error, NotEditableError
from airflow_provider_b24.rest.steps import Ask, Step, Wait

if TYPE_CHECKING:
    from airflow_provider_b24.chat.typing import Bot
    from airflow_provider_b24.rest.peer import Peer

log = logging.getLogger(__name__)

# How often it is edited in a row because others edit at the same time.
_MOST_TURNS = 4
# How many seconds late a promise may be kept before others stop to rely on it.
_GRACE = 3.0
# A message that can not be edited is followed by a new one, but not by one for each edit: no sooner than after so many
# seconds, unless there is nothing to come.
_ANEW_AFTER = 600.0
# Seconds after which nobody waits any more for what becomes of posting it.
_POSTING_TAKES = 600.0
# The longest pause between two tries to show an end, in seconds, unless the portal asks for more; and after how many
# nobody is at it any more, whatever became of him.
_LONGEST_PAUSE, _GIVEN_UP_AFTER = 8.0, 120.0
# For how many others of its kind it is looked whether their end is still to be shown.
_MOST_LOOKED_AT = 10
# A record is kept for so many seconds after the end, and for so many where no end was seen; and the newest only.
_KEPT, _KEPT_WITHOUT_END = 86_400.0, 30 * 86_400.0
_MOST_KEPT = 50


class SharedStore(Store, Protocol):
    """A store that can forget."""

    def forget(self, key: str, /) -> None:
        """Forget a value, if there is one."""


class Change(Protocol):
    """What is new of the subject, and how the message shows what is known."""

    @property
    def final(self) -> bool:
        """Whether nothing is to come: shown without delay."""

    def add(self, known: Mapping[str, Any], /) -> dict[str, Any] | None:
        """What is known with this; None if this is outdated."""

    def render(self, known: Mapping[str, Any], /, *, anew: bool) -> str:
        """The message's text; may look things up.

        :param anew: whether it will be a new message, not the edit of one.
        """


@dataclass(frozen=True)
class Living:
    """A message that lives.

    :ivar store: what its processes share.
    :ivar key: of its record.
    :ivar index: key of the list of records of its kind, by which those that are not needed any more are found.
    :ivar dialog_id: where it is, as an id or a reference.
    :ivar bot: who posts it. Default: the account behind the credential.
    :ivar interval: seconds from one edit to the next.
    """

    store: SharedStore = field(repr=False)
    key: str
    index: str
    dialog_id: str
    bot: Bot | None = None
    interval: float = 3.0


@dataclass(frozen=True)
class Record:
    """What is kept of it.

    :ivar id: of the message.
    :ivar posted: when it was posted (epoch seconds).
    :ivar edited: when the last edit began.
    :ivar editor: the mark of that edit.
    :ivar shown: fingerprint of the text that it shows; empty where that is not certain.
    :ivar promised: until when somebody will show what is new; ``promiser`` is who.
    :ivar former: ids of the messages before it.
    :ivar over: whether its end is shown.
    :ivar owed: the text of the end, until it is certain that it is shown.
    :ivar known: what is known of the subject.
    """

    id: int
    posted: float
    edited: float
    editor: str = ""
    shown: str = ""
    promised: float = 0.0
    promiser: str = ""
    former: tuple[int, ...] = ()
    over: bool = False
    owed: str = ""
    known: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_json(cls, kept: object) -> Record | None:
        """What was kept; None if that is something else."""
        try:
            assert isinstance(kept, Mapping)
            record = cls(**{**kept, "former": tuple(kept["former"])})
        except (AssertionError, TypeError, KeyError):
            return None
        return record if isinstance(record.id, int) and isinstance(record.known, Mapping) else None


@dataclass(frozen=True)
class _Owed:
    """An end that is known, and could not be shown."""

    text: str
    final: bool = True

    def add(self, known: Mapping[str, Any], /) -> dict[str, Any] | None:
        return dict(known)

    def render(self, known: Mapping[str, Any], /, *, anew: bool) -> str:
        return self.text


def show(
    peer: Peer, living: Living, change: Change, *, who: str, wait: bool = False, insist: float = 0.0
) -> Generator[Step, Any, float | None]:
    """Have the message show what is new; posts it where there is none.

    :param who: the process that promises.
    :param wait: where it is too early, wait until it is time, if nobody else has promised to show it. Otherwise it is
        promised here, and this has to be called again.
    :param insist: seconds within which it is tried again where the portal can not be reached. It takes as much longer
        as the last try does.
    :return: when to call again (epoch seconds); None where there is no need to.
    :raises Bitrix24Error: if it could be neither posted nor edited.
    """
    until = peer.clock.monotonic() + insist
    for attempt in itertools.count(1):
        try:
            return (yield from _show(peer, living, change, who, wait))
        except Bitrix24Error as error:
            pause = max(min(_LONGEST_PAUSE, peer.backoff(attempt)), error.retry_after or 0.0)
            if error.permanent or peer.clock.monotonic() + pause > until:
                raise
        yield Wait(pause)
    raise AssertionError


def _show(peer: Peer, living: Living, change: Change, who: str, wait: bool) -> Generator[Step, Any, float | None]:
    again = False
    for _ in range(_MOST_TURNS):
        record = yield from read(living)
        if record is None:
            record = yield from _begin(peer, living, change)
            if record is None:
                return None
        known, shows = change.add(record.known), change
        if known is None:
            if record.owed and (again or _is_given_up(peer, record)):
                shows, again = _Owed(record.owed), True
            elif not again:
                return None
            # An edit of this process may have taken the place of what is newer.
            known = dict(record.known)
        if record.over and known == record.known and not again:
            return None
        now = peer.clock.time()
        due = min(record.edited, now) + living.interval
        if now < due and not shows.final and not again:
            # A promise for a time that is further away was made by a clock that goes wrong.
            theirs = record.promiser != who and now < record.promised <= now + living.interval + 2 * _GRACE
            promise: dict[str, Any] = {} if theirs else {"promised": due + _GRACE, "promiser": who}
            yield from _write(living, replace(record, known=known, owed="", **promise), unless=record)
            if theirs:
                return None
            if not wait:
                return due
            yield Wait(due - now)
            continue
        if (yield from _edit(peer, living, shows, record, known, again=again)):
            return None
        again = True
    return None


def reply(peer: Peer, living: Living, message: str, memory: Memory | None = None) -> Generator[Step, Any, int]:
    """Answer the message, which must have been posted; where it was deleted, post without a link to it.

    :param memory: what is kept of the answer.
    :return: the id of the answer.
    :raises Bitrix24Error: if it is not posted.
    """
    record = yield from read(living)
    return (yield from _post(peer, living, message, record.id if record else None, memory))


def read(living: Living) -> Generator[Step, Any, Record | None]:
    """What is kept of it; None before it is posted."""
    return Record.of_json((yield Ask(lambda: living.store.get(living.key))))


def _begin(peer: Peer, living: Living, change: Change) -> Generator[Step, Any, Record | None]:
    """Post it, or find that others have: the record that they have written; None where it shows all that is new."""
    known = change.add({})
    if known is None:
        return None
    text = yield Ask(lambda: change.render(known, anew=True))
    message_id = yield from _post(peer, living, text, None, _memory(living, 0))
    found = yield from read(living)
    if found is not None:
        return found
    now = peer.clock.time()
    # If another process was faster by a moment, what it has posted is another text. So it is not said what is shown.
    record = Record(message_id, now, now, known=known)
    yield from _write(living, record)
    yield from _enrol(peer, living, record)
    if change.final:
        yield from _end(peer, living, record)
    yield from _make_up(peer, living)
    return None


def _edit(
    peer: Peer, living: Living, change: Change, record: Record, known: dict[str, Any], *, again: bool
) -> Generator[Step, Any, bool]:
    """Edit it: whether that was all; False if somebody else has edited at the same time."""
    from airflow_provider_b24.chat.editing import update

    text = yield Ask(lambda: change.render(known, anew=False))
    mark, shown = secrets.token_hex(4), _print(text)
    begun = replace(record, known=known, promised=0.0, promiser="", owed=text if change.final else "")
    if shown != record.shown or again:
        begun = replace(begun, edited=peer.clock.time(), editor=mark, shown=shown)
        yield from _write(living, begun)
        try:
            yield from update(peer, message_id=record.id, message=text, url_preview=False, bot=living.bot)
        except NotEditableError as refused:
            begun = yield from _anew(peer, living, change, begun, refused)
        except Bitrix24Error:
            # What it shows is not certain now, and must not pass for shown.
            yield from _write(living, replace(begun, shown=""))
            raise
        latest = yield from read(living)
        if latest is not None and latest.editor != mark:
            return False
    else:
        yield from _write(living, begun, unless=record)
    if change.final:
        yield from _end(peer, living, begun)
    return True


def _is_given_up(peer: Peer, record: Record) -> bool:
    """Whether its end is still to be shown, and nobody is about to."""
    return bool(record.owed) and (not record.shown or abs(peer.clock.time() - record.edited) > _GIVEN_UP_AFTER)


def _make_up(peer: Peer, living: Living) -> Generator[Step, Any, None]:
    """Show the ends of others of its kind that could not be shown."""
    listed = yield from _listed(living)
    open_ones = [(at, key) for key, (at, over) in listed.items() if not over and key != living.key]
    for _, key in sorted(open_ones, reverse=True)[:_MOST_LOOKED_AT]:
        other = replace(living, key=key)
        record = yield from read(other)
        if record is None or not _is_given_up(peer, record):
            continue
        try:
            yield from _edit(peer, other, _Owed(record.owed), record, dict(record.known), again=True)
        except Bitrix24Error as error:
            log.info("The end of what message %s is about is still not shown. %s", record.id, error)
            return


def _anew(
    peer: Peer, living: Living, change: Change, record: Record, refused: NotEditableError
) -> Generator[Step, Any, Record]:
    """It can not be edited any more, or was deleted: the record of the message that follows it."""
    now = peer.clock.time()
    if not change.final and now - record.posted < _ANEW_AFTER:
        log.info("Message %s can not be edited, and is too new to be followed by another. %s", record.id, refused)
        record = replace(record, shown="")
    else:
        log.info("Message %s can not be edited: a new one follows it. %s", record.id, refused)
        text = yield Ask(lambda: change.render(record.known, anew=True))
        new_id = yield from _post(peer, living, text, record.id, _memory(living, record.id))
        record = replace(record, id=new_id, posted=now, former=(*record.former, record.id))
    yield from _write(living, record)
    return record


def _post(
    peer: Peer, living: Living, message: str, reply_id: int | None, memory: Memory | None
) -> Generator[Step, Any, int]:
    from airflow_provider_b24.chat.message import post

    about: dict[str, Any] = {"dialog_id": living.dialog_id, "message": message, "url_preview": False, "bot": living.bot}
    if reply_id is not None:
        try:
            return (yield from post(peer, reply_id=reply_id, memory=memory, **about))
        except Bitrix24Error as error:
            if not error.permanent or error.effect_unknown:
                raise
            log.info("Message %s can not be answered; what answers it stands by itself. %s", reply_id, error)
    return (yield from post(peer, memory=memory, **about))


def _memory(living: Living, after: int) -> Memory:
    """Where it is kept what becomes of posting it, after the message of this id.

    A cleared run goes on with its message: an entry counts whatever happened since.
    """
    # The first tasks of a run start at the same moment.
    return Memory(living.store, f"{living.key}_{after}", lasting=True, any_life=True, crowded=True)


def _write(living: Living, record: Record, unless: Record | None = None) -> Generator[Step, Any, None]:
    """Keep it, unless it is what is kept."""

    def keep() -> None:
        living.store[living.key] = {**asdict(record), "former": list(record.former)}

    if record != unless:
        yield Ask(keep)


def _end(peer: Peer, living: Living, record: Record) -> Generator[Step, Any, None]:
    """The end is shown: the record is kept for a while yet, and so is what was needed for posting.

    Whoever wanted to post it at the same time may still wait to see what became of that, and would post if he found
    nothing. Only of a message that was posted long ago is it forgotten right away.
    """
    over = replace(record, over=True, owed="")
    yield from _write(living, over)
    if peer.clock.time() - record.posted > max(_POSTING_TAKES, 2 * peer.patience.late):
        yield from _forget(living, _posting_keys(living.key, over))
    yield from _enrol(peer, living, over)


def _enrol(peer: Peer, living: Living, record: Record) -> Generator[Step, Any, None]:
    """Put it on the list, and forget those records that nobody will ask for any more."""
    for _ in range(3):
        now = peer.clock.time()
        listed = yield from _listed(living)
        listed[living.key] = (now, record.over)
        kept = _still_needed(listed, now)

        def keep(kept: dict[str, tuple[float, bool]] = kept) -> None:
            living.store[living.index] = kept

        yield Ask(keep)
        for key in listed.keys() - kept.keys():
            old = Record.of_json((yield Ask(lambda key=key: living.store.get(key))))  # type: ignore[misc]
            yield from _forget(living, [key, *(_posting_keys(key, old) if old else ())])
        # Somebody else may have written his own list at the same time.
        if living.key in (yield from _listed(living)):
            return


def _listed(living: Living) -> Generator[Step, Any, dict[str, tuple[float, bool]]]:
    found = yield Ask(lambda: living.store.get(living.index))
    try:
        return {str(key): (float(at), bool(over)) for key, (at, over) in found.items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def _still_needed(listed: Mapping[str, tuple[float, bool]], now: float) -> dict[str, tuple[float, bool]]:
    """The records to keep: not too old, and of those that are over the newest only."""
    newest = sorted((at for at, over in listed.values() if over), reverse=True)[:_MOST_KEPT]
    return {
        key: (at, over)
        for key, (at, over) in listed.items()
        if now - at < (_KEPT if over else _KEPT_WITHOUT_END) and (not over or at >= newest[-1])
    }


def _posting_keys(key: str, record: Record) -> list[str]:
    return [f"{key}_{after}{suffix}" for after in (0, *record.former) for suffix in ("", "/claim")]


def _forget(living: Living, keys: list[str]) -> Generator[Step, Any, None]:
    def forget() -> None:
        for key in keys:
            living.store.forget(key)

    yield Ask(forget)


def _print(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
