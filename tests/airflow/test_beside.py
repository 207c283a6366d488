"""``while_running``: the indicator is lit while other tasks of the run work, and ends with them."""

from __future__ import annotations

import pytest

from tests.airflow.light import NOTICED, astray, dark, spans
from tests.airflow.stage import Scene, Stage

pytestmark = pytest.mark.airflow

Scenes = dict[str, Scene]

# The watched tasks, and how they end.
WATCHED = {
    "beside_success": {"work": "success"},
    "beside_failure": {"failing": "failed"},
    "beside_retry": {"second_time": "success"},
    "beside_mapped": {"work": "success"},
    "beside_group": {"group.first": "success", "group.second": "success"},
    "beside_late": {"work": "success"},
    "beside_deferred": {"deferring": "success"},
}
NEVER_LIT = ("beside_nothing_mapped", "beside_broken", "beside_finished")


@pytest.fixture(scope="module")
def scenes(stage: Stage) -> Scenes:
    """All runs, so that they work at the same time."""
    return {dag_id: stage.play(dag_id) for dag_id in (*WATCHED, "beside_skipped", *NEVER_LIT)}


@pytest.mark.parametrize("dag_id", WATCHED)
def test_lit_while_they_work_and_only_then(scenes: Scenes, dag_id: str) -> None:
    scene = scenes[dag_id]
    scene.run.wait()
    watched = WATCHED[dag_id]
    tries = [one for task_id in watched for one in scene.run.all_tries(task_id)]
    working = spans(tries)
    typing = scene.run.task("typing")

    assert {one.task_id: one.state for one in scene.run.tasks() if one.task_id in watched} == watched
    assert not astray(scene.signals, working)
    assert scene.signals, "never lit"
    for start, end in working:
        # Where both start together, the indicator can not be there before its own task.
        assert not dark(scene.signals, (max(start, min(typing.start, end)), end))
    assert typing.state == "success"
    assert typing.try_number == 1
    assert working[-1][1] <= typing.end <= working[-1][1] + 2 * NOTICED


def test_not_lit_while_a_task_waits_for_its_retry(scenes: Scenes) -> None:
    scene = scenes["beside_retry"]
    scene.run.wait()
    first, second = scene.run.tries("second_time")

    assert (first.state, second.state) == ("failed", "success")
    assert second.start - first.end > NOTICED + 4, "the pause is too short to show anything"
    assert not [signal for signal in scene.signals if first.end + NOTICED < signal < second.start]


def test_lit_until_the_last_part_of_a_mapped_task(scenes: Scenes) -> None:
    scene = scenes["beside_mapped"]
    scene.run.wait()
    parts = sorted(scene.run.tasks("work"), key=lambda part: part.end)

    assert len(parts) == 3
    assert [signal for signal in scene.signals if parts[-2].end + NOTICED / 2 < signal < parts[-1].end]
    assert scene.run.task("typing").end > parts[-1].end


def test_starts_when_the_task_does(scenes: Scenes) -> None:
    scene = scenes["beside_late"]
    scene.run.wait()
    upstream, work = scene.run.task("upstream"), scene.run.task("work")

    assert scene.run.task("typing").start < upstream.end, "it was not there in time to be early"
    assert work.start <= scene.signals[0] <= work.start + NOTICED


@pytest.mark.parametrize("dag_id", NEVER_LIT)
def test_never_lit_where_nothing_works(scenes: Scenes, dag_id: str) -> None:
    scene = scenes[dag_id]
    scene.run.wait()

    assert scene.run.task("typing").state == "success"
    assert scene.signals == []


def test_ends_when_they_are_skipped(scenes: Scenes) -> None:
    scene = scenes["beside_skipped"]
    scene.run.wait()
    skipping = scene.run.task("skipping")

    assert [scene.run.task(task_id).state for task_id in ("skipping", "not_reached")] == ["skipped", "skipped"]
    assert scene.run.task("typing").state == "success"
    assert scene.signals
    assert not astray(scene.signals, spans([skipping]))
