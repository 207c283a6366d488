"""Somebody clears or marks a task while its typing waits in the triggerer."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.airflow.client import until
from tests.airflow.light import INTERVAL, NOTICED
from tests.airflow.stage import Scene, Stage

pytestmark = pytest.mark.airflow

INTERVENTIONS: dict[str, tuple[str, Callable[[Scene], None], str]] = {
    "marked success": ("keep_for_long", lambda scene: scene.run.mark("typing", "success"), "success"),
    "marked failed": ("keep_for_long", lambda scene: scene.run.mark("typing", "failed"), "failed"),
    "run marked failed": ("keep_for_long", lambda scene: scene.run.mark_run("failed"), "failed"),
    "run marked success": ("keep_for_long", lambda scene: scene.run.mark_run("success"), "success"),
    "watching, marked failed": ("beside_long", lambda scene: scene.run.mark("typing", "failed"), "failed"),
    "watching, run marked failed": ("beside_long", lambda scene: scene.run.mark_run("failed"), "failed"),
}


@pytest.fixture(scope="module")
def scenes(stage: Stage) -> dict[str, Scene]:
    """All of them deferred, and signalling."""
    scenes = {name: stage.play(dag_id) for name, (dag_id, _, _) in INTERVENTIONS.items()}
    scenes["cleared"] = stage.play("keep_for_long")
    for scene in scenes.values():
        scene.run.wait_for("typing", "deferred")
        scene.wait_for_signals(3)
    return scenes


@pytest.fixture(scope="module")
def at(scenes: dict[str, Scene]) -> dict[str, float]:
    """When somebody intervened; then some time in which what should have ended could go on."""
    at = {}
    for name, (_, intervene, _) in INTERVENTIONS.items():
        intervene(scenes[name])
        at[name] = time.time()
    cleared = scenes["cleared"].run
    cleared.clear("typing")
    until(lambda: len(cleared.tries("typing")) == 2, "the second try", 30)
    at["cleared"] = cleared.wait_for("typing", "deferred").start
    time.sleep(NOTICED + 5 * INTERVAL)
    return at


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_the_signals_stop(scenes: dict[str, Scene], at: dict[str, float], name: str) -> None:
    scene = scenes[name]

    assert [signal for signal in scene.signals if signal < at[name]]
    assert not [signal for signal in scene.signals if signal > at[name] + NOTICED]
    assert scene.run.task("typing").state == INTERVENTIONS[name][2]
    assert len(scene.run.tries("typing")) == 1
    scene.run.mark_run("failed")


def test_a_cleared_task_types_once_not_twice(scenes: dict[str, Scene], at: dict[str, float]) -> None:
    scene = scenes["cleared"]
    settled = [signal for signal in scene.signals if signal > at["cleared"] + NOTICED]
    scene.run.mark_run("failed")

    assert len(settled) >= 4
    # Two triggers would send twice as often.
    assert len(settled) <= (settled[-1] - settled[0]) / INTERVAL + 2
