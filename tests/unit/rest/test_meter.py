"""What is counted of calls, and what is not."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_b24.rest.batch import converse_batch
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call, Priority
from airflow_provider_b24.rest.steps import Failure
from tests.unit.rest.simulation import converse_with, error, reply
from tests.unit.rest.test_conversation import FULL, LOST, READ, WRITE, peer

PORTAL = "acme.bitrix24.com"


class Counts:
    """A meter that keeps everything: counters by name and tags, and seconds likewise."""

    def __init__(self) -> None:
        self.counters: Counter[tuple[str, ...]] = Counter()
        self.seconds: list[tuple[Any, ...]] = []

    def incr(self, stat: str, *, tags: Mapping[str, str]) -> None:
        assert tags["portal"] == PORTAL
        key = (stat, *list(tags.values())[1:])
        self.counters[key] += 1

    def timing(self, stat: str, dt: dt.timedelta, *, tags: Mapping[str, str]) -> None:
        assert tags["portal"] == PORTAL
        self.seconds.append((stat, dt.total_seconds(), *list(tags.values())[1:]))


@pytest.fixture
def counts() -> Counts:
    return Counts()


def test_a_call_counts_once(counts: Counts) -> None:
    converse_with(converse(peer(meter=counts), READ), reply())
    assert counts.counters == {("bitrix24.calls", "crm.item.get", "success"): 1}
    assert counts.seconds == []


def test_retries_and_their_waits(counts: Counts) -> None:
    converse_with(converse(peer(meter=counts), READ), LOST, error(500, "INTERNAL_SERVER_ERROR"), reply())
    assert counts.counters == {
        ("bitrix24.calls", "crm.item.get", "success"): 1,
        ("bitrix24.retries", "crm.item.get", "failure"): 2,
    }
    assert counts.seconds == [
        ("bitrix24.waits", 0.5, "crm.item.get", "failure"),
        ("bitrix24.waits", 1.0, "crm.item.get", "failure"),
    ]


def test_refusals(counts: Counts) -> None:
    used_up = error(429, "OPERATION_TIME_LIMIT")
    converse_with(converse(peer(meter=counts), WRITE, patience=Patience(operating=10)), FULL, used_up)
    assert (
        counts.counters
        == {
            ("bitrix24.calls", "crm.item.add", "OperatingLimitError"): 1,
            ("bitrix24.refusals", "crm.item.add", "query_limit"): 1,
            ("bitrix24.refusals", "crm.item.add", "operating_limit"): 1,
            ("bitrix24.retries", "crm.item.add", "query_limit"): 1,
        }
        or counts.counters[("bitrix24.calls", "crm.item.add", "success")]
    )


def test_a_wait_for_the_request_limit(counts: Counts) -> None:
    caller = peer(meter=counts, plan=Plan(1, 2))
    converse_with(converse(caller, READ), reply())
    converse_with(converse(caller, READ), reply())
    assert counts.seconds == [("bitrix24.waits", 0.5, "crm.item.get", "query_limit")]


def test_a_signal_that_is_skipped(counts: Counts) -> None:
    caller = peer(meter=counts, plan=Plan(1, 2))
    converse_with(converse(caller, READ), reply())
    converse_with(converse(caller, Call("im.dialog.writing", priority=Priority.TYPING)))
    assert counts.counters[("bitrix24.calls", "im.dialog.writing", "LowBucketError")] == 1


def test_an_unknown_outcome_is_one_of_a_write(counts: Counts) -> None:
    converse_with(converse(peer(meter=counts), WRITE), LOST)
    converse_with(converse(peer(meter=counts), READ, patience=Patience(tries=1)), LOST)
    converse_with(converse(peer(meter=counts), WRITE, patience=Patience(tries=1)), Failure("refused", sent=False))
    assert counts.counters[("bitrix24.unknown_outcomes", "crm.item.add")] == 1
    assert {key for key in counts.counters if key[0] == "bitrix24.unknown_outcomes"} == {
        ("bitrix24.unknown_outcomes", "crm.item.add")
    }


def test_the_commands_of_a_batch_are_counted_by_their_own_method(counts: Counts) -> None:
    calls = {"a": WRITE, "b": READ, "c": Call("crm.item.update")}
    limited = {"error": "QUERY_LIMIT_EXCEEDED", "error_description": ""}
    converse_with(
        converse_batch(peer(meter=counts), calls),
        reply({"result": {"b": 1}, "result_error": {"c": limited}}),
        LOST,
    )
    assert counts.counters[("bitrix24.refusals", "crm.item.update", "query_limit")] == 1
    assert counts.counters[("bitrix24.retries", "crm.item.update", "query_limit")] == 1
    # of the one, the answer said nothing; of the other, the second answer was lost
    assert counts.counters[("bitrix24.unknown_outcomes", "crm.item.add")] == 1
    assert counts.counters[("bitrix24.unknown_outcomes", "crm.item.update")] == 1
    assert counts.counters[("bitrix24.unknown_outcomes", "batch")] == 0
    assert ("bitrix24.waits", 0.5, "crm.item.update", "query_limit") in counts.seconds
