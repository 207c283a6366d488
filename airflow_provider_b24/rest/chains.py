"""One request for many pages of a list that is read by key: chains of pages, each beginning where the one before ends.

In a batch a page is asked for by "greater than the id of the last row of the page before", which the portal fills in:
``$result[p3][items][49][id]`` (huge-data.md, batch.md). Such a reference leads somewhere only if the page before is
full; what becomes of a page that refers to a shorter one depends on the method, and is not looked at.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from airflow_provider_b24.rest.allowance import await_allowance, close, noted
from airflow_provider_b24.rest.batch import by_key
from airflow_provider_b24.rest.conversation import cleaned, converse, reason
from airflow_provider_b24.rest.errors import Bitrix24Error, LimitError, OperatingLimitError, error_for
from airflow_provider_b24.rest.keyset import PAGE, Keyset
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Reply, Response, error_text
from airflow_provider_b24.rest.steps import Send, Step, Wait

# Pages beside the look from the other end: enough to know how dense ids are, and all of most lists.
_SOON = 10


@dataclass(frozen=True)
class Chain:
    """Pages one after the other: those behind ``low``, up to ``high``; positions, see :mod:`.keyset`."""

    low: int | None
    high: int | None
    pages: int


@dataclass
class Answer:
    """What a request for chains has come to.

    :ivar error: what befell it as a whole.
    :ivar look: the result of the look from the other end; an error; None where the answer says nothing of it.
    :ivar behind: the same of the pages that follow it in that direction.
    :ivar pages: the same of each page of each chain.
    :ivar commands: how many the portal was sent.
    :ivar seconds: from sending the request until the answer was here.
    :ivar waited: seconds that it waited for limits before.
    :ivar size: of the answer, in bytes.
    :ivar tries: how often the portal is asked in all before it is given up.
    """

    error: Bitrix24Error | None = None
    look: Any = field(default=None, repr=False)
    behind: list[Any] = field(default_factory=list, repr=False)
    pages: list[list[Any]] = field(default_factory=list, repr=False)
    commands: int = 1
    seconds: float = 0.0
    waited: float = 0.0
    size: int = 0
    tries: int = 1


def converse_chains(
    peer: Peer, keyset: Keyset, chains: Sequence[Chain], *, look: int = 0, alone: bool = False, failures: int = 0
) -> Generator[Step, Any, Answer]:
    """Ask for pages. It raises nothing of the portal's: errors are in the answer.

    :param look: ask for so many pages from the other end of the list as well.
    :param alone: without a batch; there is one page then, or one look.
    :param failures: how often it has failed already.
    """
    answer = Answer(tries=peer.patience.tries)
    try:
        if failures:
            peer.count("bitrix24.retries", keyset.method, reason="failure")
            yield Wait(peer.backoff(failures))
        if alone:
            yield from _one(peer, keyset, chains, answer, look=look)
        else:
            yield from _batch(peer, keyset, chains, answer, look=look)
    except Bitrix24Error as error:
        answer.error = error.with_traceback(None)
    return answer


def _one(
    peer: Peer, keyset: Keyset, chains: Sequence[Chain], answer: Answer, *, look: int
) -> Generator[Step, Any, None]:
    call = keyset.look() if look else keyset.call(chains[0].low, chains[0].high)
    reply = yield from _measured(peer, call, answer)
    if look:
        answer.look = reply.result
    else:
        answer.pages = [[reply.result]]


def _batch(
    peer: Peer, keyset: Keyset, chains: Sequence[Chain], answer: Answer, *, look: int
) -> Generator[Step, Any, None]:
    commands: dict[str, str] = {}
    reference = _reference(keyset)
    if look and peer.bucket is None:
        # No request need be spared: what can only begin behind this one had better begin soon.
        chains = [replace(chain, pages=min(chain.pages, _SOON)) for chain in chains]
        look = min(look, _SOON)
    looks = keyset.looks(look, reference) if look else []
    seen = [f"l{page}" for page in range(len(looks))]
    commands.update(zip(seen[:1], looks, strict=False))
    names: list[list[str]] = []
    for number, chain in enumerate(chains):
        # One letter, and the page's number: references are most of the request's text.
        names.append(
            [f"{chr(97 + number)}{page}" if number < 26 else f"c{number}_{page}" for page in range(chain.pages)]
        )
        low: int | str | None = chain.low
        for name in names[-1]:
            commands[name] = keyset.command(low, chain.high)
            low = reference.format(name)
    commands.update(zip(seen[1:], looks[1:], strict=True))
    answer.commands = len(commands)
    # Where a chain ends is no failure that others should stop at.
    request = {"halt": int(len(chains) == 1), "cmd": commands}
    yield from await_allowance(peer, keyset.call(None), peer.patience, 0.0, calls=len(commands))
    reply = yield from _measured(peer, Call("batch", request, priority=Priority.BULK), answer)
    body = reply.result if isinstance(reply.result, Mapping) else {}
    results, errors, times = (by_key(body.get(name)) for name in ("result", "result_error", "result_time"))
    outcomes = {
        name: _error(peer, keyset.method, errors[name]) if name in errors else results.get(name) for name in commands
    }
    answer.look, *answer.behind = [outcomes[name] for name in seen] or [None]
    answer.pages = [[outcomes[name] for name in chain] for chain in names]
    yield from _learn(peer, keyset.method, outcomes, times)


def _reference(keyset: Keyset) -> str:
    """What stands for the id of the last row of a full page, with a gap for the page's name."""
    path = "".join(f"[{step}]" for step in (keyset.known.rows, str(PAGE - 1), keyset.known.key) if step)
    return f"{quote('$result[', safe='')}{{}}{quote(']' + path, safe='')}"


def _error(peer: Peer, method: str, value: Any) -> Bitrix24Error:
    code, description = error_text(value if isinstance(value, Mapping) else {"error": value})
    return cleaned(error_for(code, description, method=method), peer.redact)


def _learn(
    peer: Peer, method: str, outcomes: Mapping[str, Any], times: Mapping[str, Any]
) -> Generator[Step, Any, None]:
    """What the answer says of the execution time of the method."""
    last = next((times[name] for name in reversed(list(outcomes)) if name in times), None)
    if last is not None:
        yield from noted(peer, method, [Reply.of(None, None, None, last)] * len(times))
    refusals = [error for error in outcomes.values() if isinstance(error, LimitError)]
    for error in refusals[:1]:
        peer.count("bitrix24.refusals", method, limit=reason(error))
        if isinstance(error, OperatingLimitError):
            yield from close(peer, error)


def _measured(peer: Peer, call: Call, answer: Answer) -> Generator[Step, Any, Reply]:
    """Carry out a call, sent once: what is lost is asked for in smaller pieces. Note how long it takes."""
    conversation = converse(peer, call, patience=replace(peer.patience, tries=1))
    outcome: Any = None
    failure: Bitrix24Error | None = None
    try:
        while True:
            step = conversation.send(outcome) if failure is None else conversation.throw(failure)
            failure = None
            before = peer.clock.monotonic()
            try:
                outcome = yield step
            except Bitrix24Error as error:
                failure = error
            took = peer.clock.monotonic() - before
            if isinstance(step, Send):
                answer.seconds += took
                answer.size = len(outcome.body) if isinstance(outcome, Response) else 0
            elif isinstance(step, Wait):
                answer.waited += took
    except StopIteration as stop:
        reply: Reply = stop.value
        return reply
    finally:
        conversation.close()
