"""Alerts in simulated time: many at the same moment, twice each, and killed at any step."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_b24.chat import alerts
from airflow_provider_b24.chat.alerts import Event, Rules
from airflow_provider_b24.chat.alerts_delivery import alert
from airflow_provider_b24.chat.alerts_desk import Desk
from airflow_provider_b24.chat.alerts_text import Wording
from airflow_provider_b24.chat.alerts_ways import ToDialog
from tests.unit.chat.dialog import Dialog, Editable, Kept, Killed, Side, run

FAILED = Event(kind="failure", dag_id="sales", run_id="r", task_id="load", error="ValueError: row 17", at=1.79e9)
DECISION = replace(FAILED, kind="decision", error="", subject="Pay?")


def desk(store: Kept | None, **rules: Any) -> Desk:
    return Desk(Rules(**rules), Wording(), ToDialog("chat2935"), "chat2935", store)


def texts(dialog: Dialog) -> list[str]:
    return [message["text"] for message in dialog.of()]


# Of the way to the store, and of the way back: a machine that has too much to do is as slow as that.
slow = st.floats(0, 0.8)
starts = st.lists(st.floats(0, 4), min_size=2, max_size=5)


@given(starts, slow, st.integers(0, 2**32))
@settings(max_examples=60)
def test_parts_that_fail_at_once_with_other_words_are_counted_once(
    starts: list[float], seconds: float, seed: int
) -> None:
    """The two callbacks about one part may know different exceptions: in which message it is, is one's choice."""
    random = Random(seed)
    dialog, store = Editable(), Kept()
    side = Side(dialog, lambda what: random.uniform(0, seconds if what == "store" else 0.1))
    for number, start in enumerate(starts):
        event = replace(FAILED, map_index=number)
        other = replace(event, error=random.choice([event.error, "", "OSError: the heartbeat was lost"]))
        side.start(alert(dialog.peer(), desk(store), event), start)
        side.start(alert(dialog.peer(), desk(store), other), start + random.choice([0.0, 0.2, 1.1]))
    side.run()
    counts = [text.split("\n")[-1].partition(", last")[0] for text in texts(dialog)]
    assert sum(int(count[1:]) if count.startswith("×") else 1 for count in counts) == len(starts), texts(dialog)


@given(starts, slow, st.integers(0, 2**32))
@settings(max_examples=60)
def test_many_parts_that_fail_at_once_are_one_message(starts: list[float], seconds: float, seed: int) -> None:
    random = Random(seed)
    dialog, store = Editable(), Kept()
    side = Side(dialog, lambda what: random.uniform(0, seconds if what == "store" else 0.1))
    for number, start in enumerate(starts):
        event = replace(FAILED, map_index=number)
        for later in (0.0, random.choice([0.0, 0.2, 1.1])):
            side.start(alert(dialog.peer(), desk(store), event), start + later)
    side.run()
    (text,) = texts(dialog)
    assert text.split("\n")[-1].startswith(f"×{len(starts)}, last at")


@given(
    st.lists(st.floats(0, 2), min_size=2, max_size=4), slow, st.integers(0, 2**32), st.sampled_from([FAILED, DECISION])
)
@settings(max_examples=60)
def test_one_event_that_is_told_at_once(starts: list[float], seconds: float, seed: int, event: Event) -> None:
    random = Random(seed)
    dialog, store = Editable(), Kept()
    side = Side(dialog, lambda what: random.uniform(0, seconds if what == "store" else 0.1))
    for number, start in enumerate(starts):
        # One knows the exception; the others know none.
        told = replace(event, error=event.error if number == 0 else "")
        side.start(alert(dialog.peer(), desk(store), told), start)
    side.run()
    (text,) = texts(dialog)
    assert "×" not in text
    assert event.error in text


@pytest.mark.parametrize("event", [FAILED, DECISION], ids=["failure", "decision"])
@pytest.mark.parametrize("trouble", ["none", "reset after"])
@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
def test_killed_at_any_step_and_called_again(event: Event, trouble: str, carried_out: bool) -> None:
    for step in range(100):
        dialog, store = Editable([trouble]), Kept()
        tell = partial(alert, dialog.peer(), desk(store), event)
        try:
            run(dialog, tell(), kill_at=step, carried_out=carried_out)
        except Killed:
            dialog.clock.now += 1.0
            told = run(dialog, tell())
            # What was on its way may come for 90 s, and nobody waits so long.
            sure = isinstance(told, str)
            assert len(texts(dialog)) == 1 if sure else len(texts(dialog)) <= 1, (step, told)
            assert sure or "given up" in str(told)
            if not sure:
                dialog.clock.now += 120.0
                run(dialog, tell())
                assert len(texts(dialog)) == 1
        else:
            assert step > 10
            break


LATER = {"window over": 4000.0, "a day": 80_000.0}


@pytest.mark.parametrize("event", [FAILED, DECISION, replace(FAILED, kind="deadline", life="7", task_id="")], ids=str)
@pytest.mark.parametrize("seconds", LATER.values(), ids=LATER)
@pytest.mark.parametrize("other", ["nothing", "recovery", "failure"])
def test_one_event_that_is_told_long_afterwards(event: Event, seconds: float, other: str) -> None:
    dialog, store = Editable(), Kept()
    run(dialog, alert(dialog.peer(), desk(store), event))
    between = {"recovery": replace(event, kind="success", try_number=1), "failure": replace(event, run_id="2")}
    dialog.clock.now += seconds / 2
    if other in between:
        run(dialog, alert(dialog.peer(), desk(store), between[other]))
    before = texts(dialog)
    dialog.clock.now += seconds / 2
    assert run(dialog, alert(dialog.peer(), desk(store), event)) == "told before"
    assert texts(dialog) == before


@pytest.mark.parametrize("first", ["", "ValueError: row 17"], ids=["bare first", "bare last"])
@pytest.mark.parametrize("seconds", [0.0, 5000.0], ids=["soon", "window over"])
def test_an_exception_that_only_one_callback_knows(first: str, seconds: float) -> None:
    dialog, store = Editable(), Kept()
    last = "" if first else FAILED.error
    for error in (first, last, first, last):
        run(dialog, alert(dialog.peer(), desk(store), replace(FAILED, error=error)))
        dialog.clock.now += seconds
    (text,) = texts(dialog)
    assert FAILED.error in text
    assert "×" not in text


def test_a_success_that_is_told_again() -> None:
    dialog, store = Editable(), Kept()
    for event in (replace(FAILED, kind="success"),) * 2:
        run(dialog, alert(dialog.peer(), desk(store, successes=True), event))
        dialog.clock.now += 2000.0
    assert len(texts(dialog)) == 1


def test_what_is_known_of_events_is_bounded() -> None:
    record: dict[str, Any] = {}
    for number in range(700):
        record = alerts.with_told(record, f"{number:016}", float(number), bare=True)
        assert alerts.with_told(record, f"{number:016}", float(number), bare=True) == record
    assert alerts.is_told(record, f"{699:016}")
    assert len(json.dumps(record)) < 20_000
    assert list(alerts.with_told(record, "x", 90_000.0)["told"]) == ["x"]


def test_a_recovery_that_is_told_by_two() -> None:
    random = Random(7)
    dialog, store = Editable(), Kept()
    run(dialog, alert(dialog.peer(), desk(store), FAILED))
    side = Side(dialog, lambda what: random.uniform(0, 0.1))
    for start in (0.0, 0.01, 1.0):
        side.start(alert(dialog.peer(), desk(store), replace(FAILED, kind="success", try_number=1)), start + 5)
    side.run()
    assert [text.split(":")[0] for text in texts(dialog)] == ["❌ [B]Task failed", "✅ [B]Recovered"]
