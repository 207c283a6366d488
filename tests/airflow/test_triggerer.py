"""The triggerer dies, or is stopped, while it types."""

from __future__ import annotations

import os
from concurrent.futures import Future

import pytest

from tests.airflow.light import ALWAYS, NOTICED
from tests.airflow.stage import Scene, Stage

pytestmark = pytest.mark.airflow

SECONDS = 60


@pytest.fixture(scope="module")
def scenes(restarts: Future[dict[str, Scene]]) -> dict[str, Scene]:
    """What became of two runs meanwhile."""
    return restarts.result()


def test_keep_for_ends_when_it_was_to_end(scenes: dict[str, Scene]) -> None:
    scene = scenes["keep_for_restarted"]

    assert scene.run.wait() == "success"
    start = scene.signals[0]
    assert start + SECONDS - 1 <= scene.run.task("typing").end <= start + SECONDS + 2 * NOTICED
    assert len(scene.run.tries("typing")) == 1
    assert scene.portal.lit_share(scene.dialog, start, start + SECONDS) == ALWAYS


def test_the_watched_tasks_are_still_watched(scenes: dict[str, Scene]) -> None:
    scene = scenes["beside_restarted"]

    assert scene.run.wait() == "success"
    work = scene.run.task("work")
    assert len(scene.run.tries("typing")) == 1
    assert scene.portal.lit_share(scene.dialog, scene.signals[0], work.end) == ALWAYS
    assert work.end - NOTICED - 2 < scene.signals[-1] < work.end + NOTICED
    assert work.end <= scene.run.task("typing").end <= work.end + 2 * NOTICED


def test_no_triggerer_goes_on_in_secret(stage: Stage, scenes: dict[str, Scene]) -> None:
    triggerer = stage.airflow.components["triggerer"]
    killed, stopped, running = triggerer.sessions
    left = {os.getsid(process.pid) for process in stage.airflow.processes()}

    assert running in left
    assert not {killed, stopped} & left
