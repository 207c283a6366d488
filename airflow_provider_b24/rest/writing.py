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
from functools import partial
from typing import Any, Literal, TypeVar

from airflow_provider_b24.rest.batch import MOST_COMMANDS, Commands, converse_batch, for_one, may_be_batched
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import (
    AuthenticationError,
    Bitrix24Error,
    FileError,
    IncompleteReplyError,
    LimitError,
    NotSentError,
    PortalBlockedError,
    RedirectRefusedError,
    RequestRefusedError,
)
from airflow_provider_b24.rest.lanes import Lane, Work, check_parallel
from airflow_provider_b24.rest.outcomes import Chunk, Outcome, Row, as_row, last_word
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, Reply
from airflow_provider_b24.rest.steps import Step, Wait

K = TypeVar("K", bound=Hashable)

# A web server before a portal takes 1 MB by default; a batch's text is kept below that, in characters.
_MOST_TEXT = 900_000
# A portal in the cloud gives a request up after 60 s. One that took longer than the first of these and was lost makes
# the next ones smaller; those that take less than the second one may grow again. In seconds.
_SLOW, _QUICK = 30.0, 20.0
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

    done = {"add": "created", "update": "updated"}.get(last_word(method), "")
    return Writing(prepare, partial(_call_each, done=done), parallel=parallel, most=MOST_COMMANDS if together else 1)


def _call_each(chunk: Chunk, peer: Peer, *, done: str) -> Generator[Step, Any, dict[int, Outcome]]:
    calls = {row.index: row.call for row in chunk.rows}
    commands = Commands({str(row.index): row.text for row in chunk.rows if row.text})
    answers = yield from carry_out(peer, calls, chunk, commands)
    for _ in range(peer.patience.tries - 1):
        lost = {index: call for index, call in calls.items() if call.once and _is_unknown(answers[index])}
        if not lost:
            break
        # REST 3.0 answers with what the first one came to; but only if that is not under way any more.
        yield Wait(peer.patience.late)
        again = yield from carry_out(peer, lost, chunk)
        answers.update({index: answer for index, answer in again.items() if _tells(answer)})
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


def _is_unknown(answer: Reply | Bitrix24Error) -> bool:
    return isinstance(answer, Bitrix24Error) and answer.effect_unknown


def _tells(answer: Reply | Bitrix24Error) -> bool:
    """Whether the answer to a second request of the same name tells what has become of the first one.

    A limit or a connection that fails says nothing of it; nor does the portal where it takes the second one for
    another call, because its token is a new one.
    """
    if not isinstance(answer, RequestRefusedError):
        return isinstance(answer, Reply)
    return not (answer.code or "").lower().endswith("idempotencykeyreusedexception")


def _is_lost(answer: Reply | Bitrix24Error) -> bool:
    return isinstance(answer, IncompleteReplyError) or _is_unknown(answer)


def befalls_all(error: Bitrix24Error) -> bool:
    """Whether every other row would end with this error now as well."""
    if (error.code or "").lower() in _FOR_ALL:
        return True
    if isinstance(error, FileError):
        return False
    return isinstance(error, (LimitError, NotSentError, AuthenticationError, PortalBlockedError, RedirectRefusedError))


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
