"""Many calls in one ``batch`` request, and back: every command is accounted for. Pure.

The vendor's rules (batch.md): at most 50 commands; each is a method with its parameters as a query string,
percent-encoded once; ``$result[key][path]`` in a value stands for a part of an earlier command's result;
``halt`` stops at the first failure. An answer has HTTP status 200 even when commands in it failed.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Generator, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from airflow_provider_b24.rest.allowance import allowance_of, close, may_wait, noted, spent, used_up
from airflow_provider_b24.rest.conversation import cleaned, converse, reason
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    AuthenticationError,
    Bitrix24Error,
    CertificateError,
    ConfigurationError,
    IncompleteReplyError,
    LimitError,
    NotExecutedError,
    OperatingLimitError,
    OutcomeUnknownError,
    PortalBlockedError,
    RedirectRefusedError,
    error_for,
)
from airflow_provider_b24.rest.methods import Params
from airflow_provider_b24.rest.operating import Allowance
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import (
    Call,
    Priority,
    Reply,
    as_json,
    error_text,
    plain_value,
)
from airflow_provider_b24.rest.steps import Step, Wait

K = TypeVar("K", bound=Hashable)

MOST_COMMANDS = 50

_PERHAPS = "It may have been carried out. Look in the portal before repeating it."

# What the credential or the portal as a whole is refused for: no other request would fare better.
_CERTAIN = (AccessDeniedError, AuthenticationError, CertificateError, PortalBlockedError, RedirectRefusedError)

_KEY = re.compile(r"[A-Za-z0-9_]+\Z")
# A reference as it is written in a command, whatever a portal may make of its brackets.
_WRITTEN_REFERENCE = "%24result"
_REFERENCE = re.compile(r"\$result\[([^\]]*)\]")
# Documented as refused inside a batch: methods that carry files, and batch itself.
_ALONE = re.compile(r"^batch$|\.(uploadfile|uploadversion)$|\.file\.(upload|download)$", re.IGNORECASE)


def refers(params: Params) -> bool:
    """Whether there is text in parameters that a batch would take for a reference, wherever and in whatever case."""
    return "$result" in as_json(params).lower()


@dataclass
class BatchReply(Generic[K]):
    """What became of each call of a batch; every key is either in ``results`` or in ``errors``.

    :ivar results: the ``result`` of the calls that succeeded, by key, in the order of the calls.
    :ivar errors: the error of each of the others: the portal's refusal,
        :class:`~.errors.NotExecutedError` after a halt, :class:`~.errors.OutcomeUnknownError` where the answer
        was lost.
    :ivar replies: the whole replies (with ``total`` and ``next``) of the calls that succeeded.
    """

    errors: dict[K, Bitrix24Error] = field(default_factory=dict)
    replies: dict[K, Reply] = field(default_factory=dict)
    # The failure of a whole request that would befall all others as well.
    _certain: Bitrix24Error | None = field(default=None, repr=False, compare=False)

    @property
    def results(self) -> dict[K, Any]:
        """The ``result`` of the calls that succeeded."""
        return {key: reply.result for key, reply in self.replies.items()}

    @property
    def unknown(self) -> list[K]:
        """The keys of the calls that may or may not have been carried out. Nothing has sent them again."""
        return [key for key, error in self.errors.items() if error.effect_unknown]

    def unwrap(self) -> dict[K, Any]:
        """The results, if all calls succeeded.

        :raises Bitrix24Error: the first error, if one did not.
        """
        for error in self.errors.values():
            raise error
        return self.results


def converse_batch(
    peer: Peer,
    calls: Mapping[K, Call] | Sequence[Call],
    *,
    halt: bool | None = None,
    patience: Patience | None = None,
    commands: Commands | None = None,
) -> Generator[Step, Any, BatchReply[Any]]:
    """Carry out any number of calls, 50 to a request, in order.

    :param calls: calls by key; a sequence is numbered from 0. A value may refer to the result of an earlier call
        in the same 50, as ``$result[key][field]``.
    :param halt: stop at the first failure. By default where a call refers to another, because the portal
        would run it with the unresolved text; ``False`` is refused there.
    :param patience: instead of the peer's own.
    :param commands: the texts of the calls, if they are written already and none refers to another.
    :raises ConfigurationError: before anything is sent, for calls that a batch can not carry.
    :raises Bitrix24Error: if a whole request failed before anything was carried out; later failures are in
        ``errors``.
    """
    table: dict[Any, Call] = dict(calls) if isinstance(calls, Mapping) else dict(enumerate(calls))
    halting = _check(table, halt, referring=commands is None)
    if commands is None:
        commands = Commands({str(key): command(call.method, call.params) for key, call in table.items()})
    commands = replace(commands, halt=halting)
    outcome: BatchReply[Any] = BatchReply()
    items = list(table.items())
    for at in range(0, len(items), MOST_COMMANDS):
        chunk = dict(items[at : at + MOST_COMMANDS])
        if outcome.errors and halting:
            _not_run(outcome, chunk)
            continue
        if outcome._certain is not None:
            outcome.errors.update({key: for_one(outcome._certain, call) for key, call in chunk.items()})
            continue
        yield from _converse_chunk(peer, commands, chunk, patience or peer.patience, outcome)
    for key, error in outcome.errors.items():
        if error.effect_unknown and not table[key].repeatable:
            peer.count("bitrix24.unknown_outcomes", table[key].method)
    return _in_order(outcome, table)


@dataclass(frozen=True)
class Commands:
    """The texts of calls by name, in a repr that does not show them: parameters may be secret."""

    texts: Mapping[str, str] = field(repr=False)
    halt: bool = False

    @classmethod
    def of(cls, calls: Mapping[Any, Call]) -> Commands:
        """Write these calls; those that a batch can not carry are left out."""
        texts: dict[str, str] = {}
        for key, call in calls.items():
            with suppress(ConfigurationError):
                texts[str(key)] = command(call.method, call.params) if may_be_batched(call) else ""
        return cls({key: text for key, text in texts.items() if text})

    def plain(self, key: object) -> bool:
        """Whether there is a text for a call, and nothing in it that a portal could take for a reference."""
        return _WRITTEN_REFERENCE not in self.texts.get(str(key), _WRITTEN_REFERENCE).lower()

    def request(self, calls: Mapping[Any, Call]) -> Call:
        """The call of ``batch`` that carries these calls."""
        found = {call.priority for call in calls.values()}
        first = next(priority for priority in Priority if priority in found)
        params = {"halt": int(self.halt), "cmd": {str(key): self.texts[str(key)] for key in calls}}
        return Call("batch", params, priority=first)


def command(method: str, params: Params) -> str:
    """A call as the text of a batch command: ``method?query``, percent-encoded once, nested the PHP way.

    A query string knows only text: True and False become 1 and 0, None becomes empty, and an empty list or
    mapping becomes one empty element, which is what the portal reads as empty.

    :raises ConfigurationError: for a value that has no text.
    """
    query, problem = _query(params)
    if query is None:
        # The locals of this frame are in the traceback of the error.
        del params
        raise ConfigurationError(
            f"params can not be written as a query: {problem}",
            method=method,
            advice="Use strings, numbers, booleans, None, dates, Decimals, lists and mappings.",
        )
    return f"{method}?{query}" if query else method


def _query(params: Params) -> tuple[str | None, str]:
    pairs: list[str] = []
    try:
        for name, value in params.items() if isinstance(params, Mapping) else enumerate(params):
            _write(pairs, _quote(str(name)), value)
        return "&".join(pairs), ""
    except UnicodeEncodeError:
        return None, "a text holds half of a surrogate pair, which is no character"
    except (TypeError, ValueError, RecursionError) as error:
        return None, str(error)


def may_be_batched(call: Call) -> bool:
    """Whether a batch can carry a call of this method and version."""
    return call.version == 2 and not _ALONE.search(call.method)


def references(value: Any) -> set[str]:
    """The keys that a value refers to with ``$result[key]``."""
    if isinstance(value, str):
        return set(_REFERENCE.findall(value)) if "$result[" in value else set()
    if isinstance(value, Mapping):
        return {key for item in value.values() for key in references(item)}
    if isinstance(value, (list, tuple)):
        return {key for item in value for key in references(item)}
    return set()


def _quote(text: str) -> str:
    # Most names, and many values: quoting takes ten times as long.
    return text if text.isascii() and text.isalnum() else quote(text, safe="")


def _write(pairs: list[str], name: str, value: Any) -> None:
    # An Enum may be a str or int as well, and its own text is its name.
    if isinstance(value, Enum) or not isinstance(value, (str, int, float, type(None), Mapping, list)):
        _write(pairs, name, plain_value(value))
    elif isinstance(value, str):
        pairs.append(f"{name}={_quote(value)}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _write(pairs, f"{name}[{_quote(str(key))}]", item)
        if not value:
            pairs.append(f"{name}[]=")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _write(pairs, f"{name}[{index}]", item)
        if not value:
            pairs.append(f"{name}[]=")
    elif value is None:
        pairs.append(f"{name}=")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a number the portal knows")
    else:
        pairs.append(f"{name}={int(value) if isinstance(value, bool) else _quote(str(value))}")


def _check(table: Mapping[Any, Call], halt: bool | None, *, referring: bool) -> bool:
    """Refuse what a batch can not carry; whether it halts at the first failure.

    :param referring: whether a call may refer to another.
    """
    names = {key: str(key) for key in table}
    if len(set(names.values())) < len(names):
        raise ConfigurationError("two keys of the batch have the same text", advice="Give every call its own key.")
    place = {name: index // MOST_COMMANDS for index, name in enumerate(names.values())}
    order = {name: index for index, name in enumerate(names.values())}
    refers = False
    for key, call in table.items():
        name = names[key]
        if not isinstance(call, Call):
            raise ConfigurationError(f"{name!r} of the batch is a {type(call).__name__}, not a call")
        if not _KEY.match(name):
            raise ConfigurationError(f"a key of the batch is {name!r}", advice="Use letters, digits and '_'.")
        if call.version != 2:
            raise ConfigurationError(
                f"{call.method} of version {call.version} can not go into a batch",
                advice="REST 3.0 documents no way to tell what became of each call: call it by itself.",
            )
        if _ALONE.search(call.method):
            raise ConfigurationError(f"{call.method} can not go into a batch", advice="Call it by itself.")
        for target in references(call.params) if referring else ():
            refers = True
            if target not in place or order[target] >= order[name] or place[target] != place[name]:
                raise ConfigurationError(
                    f"{name!r} of the batch refers to $result[{target}], which is no earlier call of the same "
                    f"{MOST_COMMANDS}",
                    advice="References reach back within one request only: make the batch smaller, or reorder it.",
                )
    if refers and halt is False:
        raise ConfigurationError(
            "halt=False with calls that refer to others",
            advice="If the first one failed, the portal would run the next with the unresolved text. Leave halt out.",
        )
    return refers if halt is None else halt


def _converse_chunk(
    peer: Peer, commands: Commands, chunk: dict[Any, Call], patience: Patience, outcome: BatchReply[Any]
) -> Generator[Step, Any, None]:
    """One request, and further ones for the commands that a limit holds back, or refused before they were run."""
    waiting = chunk
    tries = 0
    waited = 0.0
    while waiting:
        held = yield from _held_back(peer, waiting, commands.halt)
        given_up = [
            key for key, allowance in held.items() if not may_wait(waiting[key], patience, waited, allowance.wait)
        ]
        for key in given_up:
            outcome.errors[key] = used_up(peer, waiting[key].method, held.pop(key))
        if given_up and commands.halt:
            # All or nothing: what comes before it was to be built on.
            if len(outcome.errors) == len(given_up) and not outcome.replies:
                raise outcome.errors[given_up[0]]
            _not_run(outcome, {key: call for key, call in waiting.items() if key not in given_up})
            return
        ready = {key: call for key, call in waiting.items() if key not in held and key not in given_up}
        again = ready
        if held and (commands.halt or not ready):
            # The first of them is not kept by the others; with halt they go together.
            key = (max if commands.halt else min)(held, key=lambda key: held[key].wait)
            waited += held[key].wait
            peer.tell_wait(waiting[key].method, held[key].wait, "operating_limit", spent(peer, held[key]))
            yield Wait(held[key].wait)
        elif ready:
            tries += 1
            again = {}
            if (yield from _request(peer, commands, ready, patience, outcome)) and not commands.halt:
                for key, call in ready.items():
                    error = outcome.errors.get(key)
                    wait = (error.retry_after or 0.0) if isinstance(error, OperatingLimitError) else 0.0
                    if isinstance(error, LimitError) and may_wait(call, patience, waited, wait):
                        again[key] = call
                again = again if tries < patience.tries else {}
                yield from _after_refusals(peer, again, outcome, peer.backoff(tries, patience))
        waiting = {key: call for key, call in waiting.items() if key in held or key in again}


def _held_back(peer: Peer, calls: Mapping[Any, Call], halt: bool) -> Generator[Step, Any, dict[Any, Allowance]]:
    """The calls whose method has no execution time left now; the others are taken to be sent."""
    methods = Counter(call.method for call in calls.values())
    allowances: dict[str, Allowance] = {}
    for method, count in methods.items():
        allowances[method] = yield from allowance_of(peer, method, count, take=not halt)
    if halt and not any(allowance.wait for allowance in allowances.values()):
        for method, count in methods.items():
            yield from allowance_of(peer, method, count)
    return {key: allowances[call.method] for key, call in calls.items() if allowances[call.method].wait}


def _request(
    peer: Peer, commands: Commands, calls: dict[Any, Call], patience: Patience, outcome: BatchReply[Any]
) -> Generator[Step, Any, bool]:
    """Send these commands; whether there was an answer to the request as a whole."""
    request = commands.request(calls)
    failure: Bitrix24Error | None = None
    try:
        reply = yield from converse(peer, request, patience=patience)
    except Bitrix24Error as caught:
        failure = caught
    if failure is not None:
        if not outcome.replies and not outcome.errors and (request.repeatable or not failure.effect_unknown):
            raise failure.with_traceback(None)
        for key, call in calls.items():
            outcome.errors[key] = for_one(failure, call)
        if isinstance(failure, _CERTAIN):
            outcome._certain = failure
        return False
    _account(peer, reply, calls, commands.halt, outcome)
    yield from _learn(peer, calls, outcome)
    return True


def _after_refusals(
    peer: Peer, calls: dict[Any, Call], outcome: BatchReply[Any], pause: float
) -> Generator[Step, Any, None]:
    """Pause before commands that a limit refused go again. Where it is the method's own, its allowance waits."""
    refusals = {key: outcome.errors.pop(key) for key in calls}
    for key, call in calls.items():
        peer.count("bitrix24.retries", call.method, reason=reason(refusals[key]))
    busy = next((key for key, error in refusals.items() if not isinstance(error, OperatingLimitError)), None)
    if busy is not None:
        peer.tell_wait(calls[busy].method, pause, reason(refusals[busy]), str(refusals[busy]))
        yield Wait(pause)


def _learn(peer: Peer, calls: Mapping[Any, Call], outcome: BatchReply[Any]) -> Generator[Step, Any, None]:
    """What the answer says of the execution time of each method in it."""
    for method in dict.fromkeys(call.method for call in calls.values()):
        keys = [key for key, call in calls.items() if call.method == method]
        replies = [outcome.replies[key] for key in keys if key in outcome.replies]
        if replies:
            yield from noted(peer, method, replies)
        refused = [error for key in keys if isinstance(error := outcome.errors.get(key), OperatingLimitError)]
        if refused:
            wait = yield from close(peer, refused[0])
            for error in refused[1:]:
                error.retry_after, error.advice = wait, refused[0].advice


def _account(
    peer: Peer,
    reply: Reply,
    chunk: Mapping[Any, Call],
    halt: bool,
    outcome: BatchReply[Any],
) -> None:
    body = reply.result if isinstance(reply.result, Mapping) else {}
    sections = {
        part: by_key(body.get(part))
        for part in ("result", "result_error", "result_total", "result_next", "result_time")
    }
    failed = False
    for key, call in chunk.items():
        name = str(key)
        if name in sections["result_error"]:
            failed = True
            outcome.errors[key] = error = _command_error(peer, call, sections["result_error"][name])
            if isinstance(error, LimitError):
                peer.count("bitrix24.refusals", call.method, limit=reason(error))
        elif name in sections["result"]:
            outcome.replies[key] = Reply.of(
                *(sections[part].get(name) for part in ("result", "result_total", "result_next", "result_time"))
            )
        elif failed and halt:
            outcome.errors[key] = NotExecutedError(
                "not executed, because a call before it in the batch failed", method=call.method
            )
        elif call.repeatable:
            outcome.errors[key] = IncompleteReplyError(
                "the portal's answer to the batch says nothing of this call", method=call.method
            )
        else:
            unknown = OutcomeUnknownError(
                "the portal's answer to the batch says nothing of this call",
                method=call.method,
                advice=_PERHAPS,
            )
            unknown.permanent = True
            outcome.errors[key] = unknown


def by_key(section: Any) -> dict[str, Any]:
    """A section of the answer; PHP writes an empty table as a list, and one with keys 0, 1, 2 too."""
    if isinstance(section, Mapping):
        return {str(key): value for key, value in section.items()}
    return {str(index): value for index, value in enumerate(section)} if isinstance(section, list) else {}


def _command_error(peer: Peer, call: Call, value: Any) -> Bitrix24Error:
    code, description = error_text(value if isinstance(value, Mapping) else {"error": value})
    error = cleaned(error_for(code, description, method=call.method), peer.redact)
    if error.effect_unknown and not call.repeatable:
        error.permanent = True
        error.advice = _PERHAPS
    return error


def for_one(error: Bitrix24Error, call: Call) -> Bitrix24Error:
    """The failure of a whole request, as that of one call in it."""
    if error.effect_unknown and call.repeatable:
        return IncompleteReplyError(
            f"the answer to the batch was lost: {error.description}", method=call.method, status=error.status
        )
    same = type(error)(
        error.description,
        method=call.method,
        code=error.code,
        status=error.status,
        advice=error.advice,
        retry_after=error.retry_after,
    )
    same.permanent = error.permanent
    return same


def _not_run(outcome: BatchReply[Any], chunk: Mapping[Any, Call]) -> None:
    for key, call in chunk.items():
        outcome.errors[key] = NotExecutedError(
            "not executed, because a call before it in the batch failed", method=call.method
        )


def _in_order(outcome: BatchReply[Any], table: Mapping[Any, Call]) -> BatchReply[Any]:
    outcome.replies = {key: outcome.replies[key] for key in table if key in outcome.replies}
    outcome.errors = {key: outcome.errors[key] for key in table if key in outcome.errors}
    return outcome
