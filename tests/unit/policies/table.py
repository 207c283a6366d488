"""The table of docs/retries.md, from what calls, operators and the retry policy do.

``python -m tests.unit.policies.table --write`` writes it anew; the words around it are written by hand.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.operators.deferral import DefersAtLimit
from airflow_provider_b24.rest import errors
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.batch import converse_batch
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Response
from airflow_provider_b24.rest.steps import Ask, Failure, Send, Wait
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.simulation import error, reply

DOCUMENT = Path(__file__).parents[3] / "docs" / "retries.md"
MARKS = ("<!-- retries -->\n\n", "<!-- end -->")

READ, WRITE = Call("crm.item.get", {"id": 7}), Call("crm.item.add", {"fields": {}})

# What makes a portal, or what is between, raise each of them.
PROVOKED: dict[type[Bitrix24Error], Any] = {
    errors.AuthenticationError: error(401, "NO_AUTH_FOUND"),
    errors.TokenExpiredError: error(401, "expired_token"),
    errors.AccessDeniedError: error(403, "ACCESS_ERROR"),
    errors.NotEditableError: error(403, "CANT_EDIT_MESSAGE"),
    errors.NotFoundError: error(404, "NOT_FOUND"),
    errors.RequestRefusedError: error(400, "X"),
    errors.PortalBlockedError: error(503, "OVERLOAD_LIMIT"),
    errors.QueryLimitError: error(503, "QUERY_LIMIT_EXCEEDED", retry_after="300"),
    errors.OperatingLimitError: error(429, "OPERATION_TIME_LIMIT"),
    errors.NotSentError: Failure("no connection", sent=False),
    errors.CertificateError: Failure("not trusted", sent=False, certificate=True),
    errors.OutcomeUnknownError: Failure("no answer", sent=True),
    errors.UnexpectedReplyError: Response(404, {}, b"<html>"),
    errors.RedirectRefusedError: Response(302, {"location": "nowhere"}, b""),
}
# Those that no single call ends with, as they are raised.
MADE: dict[type[Bitrix24Error], tuple[str, Callable[[], Bitrix24Error]]] = {
    errors.ConfigurationError: ("no", lambda: errors.ConfigurationError("params")),
    errors.LowBucketError: ("no", lambda: errors.LowBucketError("skipped")),
    errors.DeliveryUnknownError: ("looked for in the dialog first", lambda: errors.DeliveryUnknownError("lost")),
    errors.FileError: ("no", lambda: errors.FileError("no such file")),
    errors.IncompleteReplyError: ("reads", lambda: errors.IncompleteReplyError("short")),
    errors.NotExecutedError: ("no", lambda: errors.NotExecutedError("after another")),
}
ABSTRACT = {errors.LimitError}


def classes(root: type[Bitrix24Error] = Bitrix24Error) -> Iterator[type[Bitrix24Error]]:
    """All classes of errors, as they stand in their module."""
    named = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, root)]
    return (found for found in named if found is not root and found not in ABSTRACT)


def outcome(call: Call, answer: Any) -> tuple[int, Bitrix24Error]:
    """How often a call is sent that always meets the same, and what it ends with."""
    clock = FakeClock()
    peer = Peer(Webhook(Address("https", "acme.bitrix24.com"), "7", "s3cr3tc0de"), clock=clock, jitter=lambda: 0.5)
    conversation = converse(peer, call, patience=Patience(limits=600.0))
    sent, result = 0, None
    while True:
        try:
            step = conversation.send(result)
        except Bitrix24Error as ended:
            return sent, ended
        result = None
        if isinstance(step, Wait):
            clock.sleep(step.seconds)
        elif isinstance(step, Ask):
            result = step.question()
        else:
            assert isinstance(step, Send)
            sent, result = sent + 1, answer


def fate(ended: Bitrix24Error) -> str:
    """What becomes of a task by an operator, without a policy."""
    try:
        with DefersAtLimit(task_id="task").slot_given_back(), no_vain_retries():
            raise ended
    except TaskDeferred:
        return "is deferred; after an hour `retry_delay`"
    except AirflowFailException:
        return "fails at once"
    except Bitrix24Error:
        return "`retry_delay`"


def fate_by_policy(ended: Bitrix24Error) -> str:
    """What becomes of a task that has the policy."""
    from airflow_provider_b24.policies.retry import Bitrix24RetryPolicy

    decision = Bitrix24RetryPolicy().evaluate(ended, 1, 3)
    if decision.retry_delay is not None:
        assert decision.retry_delay == dt.timedelta(seconds=ended.retry_after or 0)
        return "when the portal said"
    return {"fail": "fails at once", "default": "`retry_delay`"}[decision.action.value]


def rows() -> Iterator[tuple[str, ...]]:
    for kind in classes():
        what = (kind.__doc__ or "").split(". ")[0].rstrip(".")
        if kind in MADE:
            again, make = MADE[kind]
            ends = {"": make()}
        else:
            tried = {name: outcome(call, PROVOKED[kind]) for name, call in (("reads", READ), ("writes", WRITE))}
            assert {type(ended) for _, ended in tried.values()} == {kind}
            again = ", ".join(name for name, (sent, _) in tried.items() if sent > 1) or "no"
            ends = {name: ended for name, (_, ended) in tried.items()}
            if kind is errors.QueryLimitError:
                ends = {"with a known time": ends["writes"], "without": kind("full")}
        yield f"`{kind.__name__}`", what, again, _merged(ends, fate), _merged(ends, fate_by_policy), _advice(kind, ends)


def _merged(ends: dict[str, Bitrix24Error], judge: Callable[[Bitrix24Error], str]) -> str:
    told = {name: judge(ended) for name, ended in ends.items()}
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return "<br>".join(f"{name}: {fate}" for name, fate in told.items())


def _advice(kind: type[Bitrix24Error], ends: dict[str, Bitrix24Error]) -> str:
    return kind.default_advice or "<br>".join(dict.fromkeys(filter(None, (ended.advice for ended in ends.values()))))


def table() -> str:
    head = ("Error", "What happened", "Sent again in the call", "Task", "Task with the policy", "What the error says")
    lines = [head, ("---",) * len(head), *rows()]
    return "".join(f"| {' | '.join(cell or '–' for cell in line)} |\n" for line in lines)


def written() -> str:
    """The table as it stands in the document."""
    return DOCUMENT.read_text().split(MARKS[0])[1].split(MARKS[1])[0].rstrip("\n") + "\n"


def in_a_batch(call: Call) -> Bitrix24Error:
    """The error of one command of a batch that the portal has failed at."""
    peer = Peer(Webhook(Address("https", "acme.bitrix24.com"), "7", "s3cr3tc0de"), clock=FakeClock())
    body = reply({"result": [], "result_error": {"0": {"error": "INTERNAL_SERVER_ERROR"}}})
    conversation = converse_batch(peer, [call])
    next(conversation)
    try:
        conversation.send(body)
    except StopIteration as stop:
        found: Bitrix24Error = stop.value.errors[0]
        return found
    raise AssertionError


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    text = DOCUMENT.read_text()
    pattern = re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1])
    DOCUMENT.write_text(re.sub(pattern, lambda _: f"{MARKS[0]}{table()}\n{MARKS[1]}", text, flags=re.DOTALL))
