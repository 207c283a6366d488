"""Tasks that post are killed and their portal misbehaves: a short form of what tools/chaos.py does."""

from __future__ import annotations

import pytest

from tests.airflow.chaos import Trial, Verdict
from tests.airflow.client import Run
from tests.airflow.stage import Stage

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def run(stage: Stage) -> Run:
    run = stage.play("chaos", portal=stage.ruin).run
    run.wait()
    return run


@pytest.fixture(scope="module")
def verdict(stage: Stage, run: Run) -> Verdict:
    return stage.chaos.judge(run, stage.airflow.home / "kills")


def test_nothing_is_lost_and_nothing_is_there_twice(verdict: Verdict) -> None:
    assert (verdict.lost, verdict.twice, verdict.wrong) == ([], [], [])
    assert verdict.messages > verdict.trials == 12


def test_nothing_was_left_to_a_person(verdict: Verdict) -> None:
    assert (verdict.unknown, verdict.failed) == ([], [])


def test_it_was_chaos(verdict: Verdict) -> None:
    assert verdict.kills >= 5
    assert verdict.faults >= 7
    assert verdict.tries >= verdict.trials + verdict.kills


@pytest.fixture(scope="module")
def cleared(stage: Stage, run: Run, verdict: Verdict) -> dict[str, tuple[Trial, int]]:
    """One of those that post anew, and one of those that do not, with the id that each had."""
    found = {way: next(trial for trial in stage.chaos.trials if trial.way == way) for way in ("deferred", "operator")}
    before = {way: (trial, run.xcom(way, trial.index)) for way, trial in found.items()}
    run.clear(*((trial.way, trial.index) for trial in found.values()))
    assert run.wait() == "success"
    return before


def test_a_cleared_task_posts_anew(stage: Stage, run: Run, cleared: dict[str, tuple[Trial, int]]) -> None:
    trial, first = cleared["deferred"]
    posted = [message.id for message in stage.ruin.messages(trial.dialog_id) if message.text == trial.messages[0]]
    assert posted == [first, run.xcom("deferred", trial.index)]


def test_unless_told_otherwise(stage: Stage, run: Run, cleared: dict[str, tuple[Trial, int]]) -> None:
    trial, first = cleared["operator"]
    posted = [message.id for message in stage.ruin.messages(trial.dialog_id) if message.text == trial.messages[0]]
    assert posted == [first] == [run.xcom("operator", trial.index)]
