"""What is known of a run: in whatever order events come, what has ended stays so."""

from __future__ import annotations

import itertools
import json

import pytest

from airflow_provider_b24.chat.run_message import Failure, Tasks
from airflow_provider_b24.chat.run_record import Event, Part, add, outcome, view_of

STARTED = Event(0, 10.0, task="load", state="running", started=5.0)
RETRIED = Event(0, 11.0, task="load", state="up_for_retry", failure=Failure("load", "E1", 1, 2, True))
BROKEN = Event(0, 12.0, task="load", state="failed", failure=Failure("load", "E2", 2, 2))
OVER = Event(0, 20.0, state="failed", end=True, certain=True, started=5.0, failure=Failure("load"))
WORD = Event(0, 11.0, progress=0.5, text="half")


def after(*events: Event) -> dict:
    known: dict = {}
    for event in events:
        known = add(json.loads(json.dumps(known)), [event]) or known
    return known


def view(known: dict, tasks: Tasks | None = None):
    return view_of(known, dag_id="d", run_id="r", tasks=tasks or Tasks())


def test_a_run_that_fails():
    known = after(STARTED, RETRIED, BROKEN, OVER)
    shown = view(known)
    assert (shown.state, shown.duration, shown.ended) == ("failed", 15.0, 20.0)
    assert shown.failures == (Failure("load", "E2", 2, 2),), "what the task has told, not what the run tells of it"


def test_a_run_whose_tasks_have_told_nothing():
    assert view(after(OVER)).failures == (Failure("load"),)


@pytest.mark.parametrize("late", [STARTED, RETRIED, BROKEN, WORD], ids=["started", "retried", "broken", "word"])
def test_what_comes_after_the_end_is_outdated(late):
    assert add(after(STARTED, OVER), [late]) is None


@pytest.mark.parametrize("order", list(itertools.permutations([STARTED, RETRIED, OVER])), ids=range(6))
def test_the_end_is_shown_whatever_the_order(order):
    assert view(after(*order)).state == "failed"


def test_the_end_twice_changes_nothing():
    known = after(STARTED, OVER)
    assert add(known, [OVER]) == known


def test_airflow_knows_the_end_better_than_the_tasks():
    guess = Event(0, 15.0, state="success", end=True)
    assert view(after(STARTED, guess, OVER)).state == "failed"
    assert view(after(STARTED, OVER, guess)).state == "failed"


def test_a_cleared_run_goes_on():
    known = after(STARTED, WORD, OVER, Event(1, 30.0, task="load", state="running", started=29.0))
    assert not known["ended"]
    assert view(known).failures == ()
    assert view(known).text == ""
    assert add(after(known_end := Event(1, 40.0, state="success", end=True, certain=True)), [OVER]) is None
    assert view(after(OVER, known_end)).state == "success"


def test_a_task_that_succeeds_in_the_end_has_not_failed():
    good = Event(0, 13.0, task="load", state="success")
    assert view(after(RETRIED, STARTED)).failures[0].error == "E1"
    assert view(after(RETRIED, good)).failures == ()


def test_a_run_that_succeeds_shows_no_failures():
    assert view(after(BROKEN, Event(0, 20.0, state="success", end=True))).failures == ()


def test_words():
    assert (view(after(WORD)).progress, view(after(WORD)).text) == (0.5, "half")
    assert view(after(WORD, Event(0, 12.0, text="more"))).progress == 0.5
    assert view(after(WORD, Event(0, 12.0, progress=-1))).progress is None
    assert view(after(WORD, Event(0, 12.0, text=""))).text == ""


BEGUN = Event(0, 9.0, started=5.0)


def test_it_is_queued_until_a_task_has_begun():
    assert view(after(BEGUN), Tasks(2)).state == "queued"
    assert view(after(BEGUN), Tasks(2, 1)).state == "running"
    assert view(after(BEGUN), Tasks(2, current=("a",))).state == "running"
    assert view(after(STARTED), Tasks(2)).state == "running"
    assert view(after(WORD), Tasks(2)).state == "running"
    assert view(after(BEGUN)).state == "running", "where the tasks are not known"


def test_that_the_run_has_begun_is_no_news_once_a_task_has():
    assert add(after(BEGUN), [BEGUN]) is not None
    assert add(after(BEGUN, STARTED), [BEGUN]) is None
    assert add(after(STARTED, OVER), [BEGUN]) is None
    again = add(after(STARTED, OVER), [Event(1, 30.0, started=29.0)])
    assert again is not None
    assert not again["ended"]


def test_what_was_kept_by_another_version():
    assert view({"ended": "success", "new_field": 1}).state == "success"


CHAIN = {
    "a": Part(),
    "b": Part(after=frozenset("a")),
    "c": Part(after=frozenset("b")),
}
JOIN = {**CHAIN, "always": Part("all_done", frozenset("c"))}
BRANCH = {"a": Part(), "b": Part(after=frozenset("a")), "join": Part("none_failed", frozenset("ab"))}
DOWN = {"work": Part(), "down": Part("all_done_setup_success", frozenset({"work"}), decides=False)}

OUTCOMES = {
    "all done": (CHAIN, {"a": "success", "b": "success", "c": "success"}, "success"),
    "one to go": (CHAIN, {"a": "success", "b": "success", "c": None}, ""),
    "one at work": (CHAIN, {"a": "success", "b": "running", "c": None}, ""),
    "to be tried again": (CHAIN, {"a": "up_for_retry", "b": None, "c": None}, ""),
    "the rest can not run": (CHAIN, {"a": "failed", "b": None, "c": None}, "failed"),
    "the rest is skipped": (CHAIN, {"a": "skipped", "b": None, "c": None}, "success"),
    "something runs all the same": (JOIN, {"a": "failed", "b": None, "c": None, "always": None}, ""),
    "and decides": (JOIN, {"a": "failed", "b": None, "c": "upstream_failed", "always": "success"}, "success"),
    "a join runs after what was skipped": (BRANCH, {"a": "success", "b": "skipped", "join": None}, ""),
    "mapped": (CHAIN, {"a": "success", "b_0": "success", "b_1": "failed", "c": None}, "failed"),
    "a part at work": (CHAIN, {"a": "success", "b_0": "running", "b_1": "failed", "c": None}, ""),
    "a task that the DAG has not": (CHAIN, {"a": "success", "x": "success"}, ""),
    "a part that is gone": (CHAIN, {"a": "success", "b": "success", "c_0": "success", "c_1": "removed"}, "success"),
    "torn down": (DOWN, {"work": "failed", "down": "success"}, "failed"),
    "nothing": (CHAIN, {}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "states", "ended"), OUTCOMES.values(), ids=OUTCOMES)
def test_outcomes(parts, states, ended):
    assert outcome(states, parts) == ended
