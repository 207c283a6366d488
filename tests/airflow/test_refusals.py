"""Tasks that can not be watched, because they would wait for the one that watches them, or are not there."""

from __future__ import annotations

import pytest

from tests.airflow.stage import Scene, Stage

pytestmark = pytest.mark.airflow

REFUSALS = {
    "typing_after": "'typing_after' depends on 'first', which it is to watch (while_running)",
    "typing_before": "'typing_before' is needed by 'last', which it is to watch (while_running)",
    "typing_unknown": "while_running of 'typing_unknown' names 'weekly', which the DAG has not. "
    "Inside a task group the id is 'reports.weekly'.",
}


@pytest.fixture(scope="module")
def refused(stage: Stage) -> Scene:
    scene = stage.play("refused")
    scene.run.wait()
    return scene


@pytest.mark.parametrize("task_id", REFUSALS)
def test_refused_at_once(refused: Scene, task_id: str) -> None:
    (only,) = refused.run.tries(task_id)
    assert (only.state, only.try_number) == ("failed", 1)
    assert REFUSALS[task_id] in refused.run.log(task_id)


def test_nothing_was_sent(refused: Scene) -> None:
    assert refused.signals == []
