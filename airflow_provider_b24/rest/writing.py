"""Many calls of one method that write: in batches side by side, with an outcome for every row. Pure.

What is sent may be carried out although no answer comes. So a row is sent again only where the portal has refused it
for a limit, or was not reached; what may have been carried out is said to be unknown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

from airflow_provider_b24.rest.batch import MOST_COMMANDS, Commands, command, converse_batch, for_one, may_be_batched
from airflow_provider_b24.rest.content import Content
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import (
    AuthenticationError,
    Bitrix24Error,
    ConfigurationError,
    FileError,
    IncompleteReplyError,
    LimitError,
    NotSentError,
    PortalBlockedError,
    RedirectRefusedError,
)
from airflow_provider_b24.rest.lanes import Lane, Work, check_parallel
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Reply
from airflow_provider_b24.rest.steps import Step

K = TypeVar("K", bound=Hashable)

# A web server before a portal takes 1 MB by default; a batch's text is kept below that, in characters.
_MOST_TEXT = 900_000
# A portal in the cloud gives a request up after 60 s. One that took longer than the first of these and was lost makes
# the next ones smaller; those that take less than the second one may grow again. In seconds.
_SLOW, _QUICK = 30.0, 20.0
# Parameters that say which element a row changes, and those that say among which; by the last word of the methods of
# which it matters in which order they are called.
_CHANGES = frozenset(["update", "set", "delete"])
_ELEMENT = ("id", "ID", "taskId", "ELEMENT_ID", "MESSAGE_ID")
_AMONG = ("entityTypeId", "IBLOCK_ID", "IBLOCK_CODE")
# Codes that say that no row of the same method would fare better.
_FOR_ALL = frozenset(
    [
        "insufficient_scope",
        "error_method_not_found",
        "wrong_auth_type",
        "user_access_error",
        "allowed_only_intranet_user",
        "method_confirm_waiting",
        "method_confirm_denied",
    ]
)


@dataclass(frozen=True, repr=False)
class Outcome:
    """What has become of a row. Its repr shows none of its values.

    :ivar params: the row, as it was given.
    :ivar result: the portal's ``result``; None where it is not known, see ``id``.
    :ivar error: what went wrong; None if nothing did.
    :ivar index: the row's number in the input, from 0.
    :ivar id: the id of the element that was added or updated, where it is known.
    :ivar created: whether an element was added.
    :ivar updated: whether one was updated.
    """

    params: Any
    result: Any = None
    error: Bitrix24Error | None = None
    index: int = 0
    id: int | None = None
    created: bool = False
    updated: bool = False

    def __repr__(self) -> str:
        if self.error is not None:
            said = f"{type(self.error).__name__}{f' {self.error.code}' if self.error.code else ''}"
        else:
            said = "created" if self.created else "updated" if self.updated else "ok"
        return f"<Outcome {self.index}: {said}{f', id {self.id}' if self.id is not None else ''}>"

    @property
    def ok(self) -> bool:
        """Whether the row was carried out."""
        return self.error is None

    @property
    def unknown(self) -> bool:
        """Whether it may or may not have been carried out."""
        return self.error is not None and self.error.effect_unknown

    @property
    def retryable(self) -> bool:
        """Whether it was not carried out for a reason that passes, such as a limit: the row may be sent again."""
        return self.error is not None and not self.error.effect_unknown and not self.error.permanent


@dataclass(frozen=True, eq=False)
class Row:
    """A row on its way.

    :ivar call: what it was made into.
    :ivar text: the call as a command of a batch; empty where it can not go into one.
    :ivar identity: of the element that it is about, if it names one: rows of one identity are sent one after the other,
        for the last one stands.
    """

    index: int
    params: Mapping[str, Any] = field(repr=False)
    call: Call = field(repr=False)
    text: str = field(repr=False)
    identity: Hashable = field(default=None, repr=False)

    def became(self, answer: Reply | Bitrix24Error, done: str = "", known: int | None = None) -> Outcome:
        """The outcome, of the answer to its call.

        :param done: ``created`` or ``updated``, if an element was.
        :param known: the element's id, if it was known before.
        """
        if isinstance(answer, Bitrix24Error):
            return Outcome(self.params, error=answer, index=self.index, id=known)
        found = id_of(answer.result) if done and known is None else known
        return Outcome(
            self.params, answer.result, None, self.index, found, created=done == "created", updated=done == "updated"
        )


@dataclass(eq=False)
class Chunk:
    """The rows of one lane.

    :ivar seconds: how long its longest request took.
    :ivar lost: whether the answer to one was lost.
    :ivar failure: what befell a whole request, if something did that would befall all others as well.
    """

    rows: Sequence[Row] = field(repr=False)
    seconds: float = 0.0
    lost: bool = False
    failure: Bitrix24Error | None = None


Prepare = Callable[[int, Any], "Row | Outcome"]
Write = Callable[[Chunk, Peer], Generator[Step, Any, "dict[int, Outcome]"]]


def writing(method: str, *, parallel: int = 4, version: Literal[2, 3] = 2) -> Writing:
    """Call a method once for each row.

    :raises ConfigurationError: for arguments that can not be right.
    """
    known = Call(method, version=version)
    together = may_be_batched(known)

    def prepare(index: int, params: Any) -> Row | Outcome:
        return as_row(index, params, method, version, together=together)

    done = {"add": "created", "update": "updated"}.get(_last_word(method), "")
    return Writing(prepare, partial(_call_each, done=done), parallel=parallel, most=MOST_COMMANDS if together else 1)


def as_row(
    index: int,
    params: Any,
    method: str,
    version: Literal[2, 3] = 2,
    *,
    together: bool = True,
) -> Row | Outcome:
    """What comes from a source, as a row that can be sent; the outcome of one that can not."""
    error: Bitrix24Error
    if not isinstance(params, Mapping):
        error = ConfigurationError(
            f"row {index} is a {type(params).__name__}",
            method=method,
            advice="A row is a mapping: the parameters of one call.",
        )
        return Outcome(params, error=error, index=index)
    call = Call(method, params, version, Priority.BULK)
    try:
        text = command(method, params) if together else ""
    except ConfigurationError as caught:
        error = caught.with_traceback(None)
        if not _holds_file(params):
            return Outcome(params, error=error, index=index)
        text = ""
    return Row(index, params, call, text, _element(method, params))


def _element(method: str, params: Mapping[str, Any]) -> Hashable:
    """The element that a row changes; None if it names none."""
    if _last_word(method) not in _CHANGES or not any(name in params for name in _ELEMENT):
        return None
    return tuple((name, str(params[name])) for name in (*_ELEMENT, *_AMONG) if name in params)


def _last_word(method: str) -> str:
    return method.lower().rsplit(".", 1)[-1]


def _holds_file(value: Any) -> bool:
    """Whether there is a file among parameters: it is sent in pieces, and a command of a batch is a text."""
    if isinstance(value, Mapping):
        return any(map(_holds_file, value.values()))
    return any(map(_holds_file, value)) if isinstance(value, (list, tuple)) else isinstance(value, Content)


def _call_each(chunk: Chunk, peer: Peer, *, done: str) -> Generator[Step, Any, dict[int, Outcome]]:
    calls = {row.index: row.call for row in chunk.rows}
    commands = Commands({str(row.index): row.text for row in chunk.rows if row.text})
    answers = yield from carry_out(peer, calls, chunk, commands)
    return {row.index: row.became(answers[row.index], done) for row in chunk.rows}


def carry_out(
    peer: Peer, calls: Mapping[K, Call], chunk: Chunk, commands: Commands | None = None
) -> Generator[Step, Any, dict[K, Reply | Bitrix24Error]]:
    """The answer to each of these calls, or what went wrong with it.

    They go in a batch, all but those that can not. A text that looks like a reference to another command's result is
    a text here: what holds one goes by itself, for in a batch the portal would put that result in its place.

    :param commands: the calls as commands of a batch, if they are written already.
    """
    commands = commands or Commands.of(calls)
    together = {key: call for key, call in calls.items() if commands.plain(key)}
    answers: dict[K, Reply | Bitrix24Error] = {}
    if together:
        began = peer.clock.monotonic()
        failure: Bitrix24Error | None = None
        try:
            batch = yield from converse_batch(peer, together, halt=False, commands=commands)
        except Bitrix24Error as caught:
            failure = caught
        if failure is not None:
            if not failure.effect_unknown:
                chunk.failure = failure.with_traceback(None)
            answers.update({key: for_one(failure, call) for key, call in together.items()})
        else:
            answers.update(batch.replies)
            answers.update(batch.errors)
        chunk.seconds = max(chunk.seconds, peer.clock.monotonic() - began)
        chunk.lost |= all(_is_lost(answers[key]) for key in together)
    for key, call in calls.items():
        if key in together:
            continue
        if chunk.failure is not None:
            answers[key] = for_one(chunk.failure, call)
            continue
        try:
            answers[key] = yield from converse(peer, call)
        except Bitrix24Error as caught:
            answers[key] = error = caught.with_traceback(None)
            if befalls_all(error):
                chunk.failure = error
    return answers


def _is_lost(answer: Reply | Bitrix24Error) -> bool:
    return isinstance(answer, IncompleteReplyError) or (isinstance(answer, Bitrix24Error) and answer.effect_unknown)


def befalls_all(error: Bitrix24Error) -> bool:
    """Whether every other row would end with this error now as well."""
    if (error.code or "").lower() in _FOR_ALL:
        return True
    if isinstance(error, FileError):
        return False
    return isinstance(error, (LimitError, NotSentError, AuthenticationError, PortalBlockedError, RedirectRefusedError))


def id_of(result: Any) -> int | None:
    """The id in the result of a method that adds or updates: the result itself, or in the element it holds."""
    if isinstance(result, Mapping):
        inner = next(iter(result.values()), None)
        element = inner if len(result) == 1 and isinstance(inner, Mapping) else result
        result = next((value for name, value in element.items() if str(name).lower() == "id"), None)
    if isinstance(result, bool) or not isinstance(result, (int, str)):
        return None
    text = str(result)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


class Writing(Work[Outcome]):
    """Rows on their way to the portal, and their outcomes in the order of the input.

    :param prepare: makes a row of what comes from the source, or its outcome, if it can not be sent.
    :param write: writes the rows of a lane; their outcomes by index.
    :param parallel: lanes at once, from 1 to 40.
    :param most: rows of a lane.
    :param several: whether rows of one identity may be in one lane, because ``write`` keeps their order.
    """

    def __init__(
        self, prepare: Prepare, write: Write, *, parallel: int, most: int = MOST_COMMANDS, several: bool = False
    ) -> None:
        check_parallel(parallel)
        self.width = parallel
        self._prepare = prepare
        self._write = write
        self._most = self._size = most
        self._several = several
        self._taken = self._given = 0
        self._exhausted = False
        # By index: rows that were not begun, and outcomes that wait for those of rows before them.
        self._queue: deque[Row] = deque()
        self._outcomes: dict[int, Outcome] = {}
        self._open: set[Hashable] = set()
        self._lanes = 0
        self._lost = 0
        self._stopped: Bitrix24Error | None = None
        # What the source failed with.
        self._broken: Exception | None = None

    def source(self, rows: Iterable[Any]) -> Iterator[Any]:
        """The rows; an error of theirs comes out of the work, after the outcomes of the rows before it."""
        try:
            yield from rows
        except Exception as error:
            self._broken = error

    async def asource(self, rows: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
        """Like :meth:`source`."""
        try:
            if isinstance(rows, AsyncIterable):
                async for row in rows:
                    yield row
            else:
                for row in rows:
                    yield row
        except Exception as error:
            self._broken = error

    def wants(self) -> int:
        """How many rows fit in: no more are held than are under way, and as many as go into one lane."""
        if self._exhausted or self._stopped is not None:
            return 0
        return max(0, (self.width + 1) * self._most - (self._taken - self._given))

    def offer(self, items: Sequence[Any]) -> None:
        """Take rows."""
        self._exhausted = len(items) < self.wants()
        for item in items:
            row = self._prepare(self._taken, item)
            if isinstance(row, Outcome):
                self._outcomes[self._taken] = row
            else:
                self._queue.append(row)
            self._taken += 1

    def begin(self) -> Lane | None:
        """The next rows that can go together."""
        if not self._queue or self._stopped is not None:
            return None
        if len(self._queue) < self._size and not self._exhausted and self._lanes:
            # A full one, when outcomes have been given out.
            return None
        rows: list[Row] = []
        identities: set[Hashable] = set()
        length = 0
        while self._queue and len(rows) < self._size:
            row = self._queue[0]
            length += len(row.text)
            if row.identity in self._open or (row.identity in identities and not self._several):
                break
            if rows and length > _MOST_TEXT:
                break
            rows.append(self._queue.popleft())
            if row.identity is not None:
                identities.add(row.identity)
        if not rows:
            return None
        self._open |= identities
        self._lanes += 1
        chunk = Chunk(rows)
        return Lane(partial(self._write, chunk), chunk)

    def end(self, lane: Lane, outcome: Any) -> None:
        """Learn what has become of the rows of a lane."""
        chunk: Chunk = lane.about
        self._lanes -= 1
        self._open.difference_update(row.identity for row in chunk.rows)
        if isinstance(outcome, Bitrix24Error):
            chunk.failure = outcome
            outcome = {
                row.index: Outcome(row.params, error=for_one(outcome, row.call), index=row.index) for row in chunk.rows
            }
        self._outcomes.update(outcome)
        errors = [one.error for one in outcome.values() if one.error is not None]
        self._stop(chunk.failure or next((error for error in errors if befalls_all(error)), None))
        self._adapt(chunk)
        self._lost = self._lost + 1 if len(errors) == len(chunk.rows) and all(map(_is_lost, errors)) else 0
        # One after the other, and more than were under way at once: the portal is in trouble, and each further batch
        # would only be another one of which nothing is known.
        if self._lost > self.width + 1:
            self._stop(errors[0])

    def _stop(self, error: Bitrix24Error | None) -> None:
        """Send nothing more, because of this error."""
        if error is not None and self._stopped is None:
            # The error of a row stays as it is.
            self._stopped = copy(error)

    def _adapt(self, chunk: Chunk) -> None:
        """Send less at once where the portal took too long for it, and more again where it did not."""
        count = len(chunk.rows)
        if chunk.lost and chunk.seconds >= _SLOW:
            self._size = max(1, count // 2)
        elif not chunk.lost and chunk.seconds < _QUICK:
            self._size = max(self._size, min(self._most, 2 * count))

    def ready(self) -> list[Outcome]:
        """The outcomes that come next in the order of the input."""
        found: list[Outcome] = []
        while (outcome := self._outcomes.pop(self._given, None)) is not None:
            self._given += 1
            found.append(outcome)
        if not found and not self._lanes:
            if self._stopped is not None:
                self._stopped.done = self._given
                raise self._stopped
            if self._broken is not None and not self._queue:
                raise self._broken
        return found

    @property
    def over(self) -> bool:
        """Whether every row has its outcome, and all of them were given out."""
        return self._exhausted and self._given == self._taken and not (self._stopped or self._broken)
