"""One message for each run, from callbacks and from the listener."""

from __future__ import annotations

import pytest

from tests.airflow.client import until
from tests.airflow.stage import Scene, Stage

pytestmark = pytest.mark.airflow

# A DAG's callbacks and the listener's thread come in after the end of the run.
SECONDS = 30


@pytest.fixture(scope="module")
def scenes(stage: Stage) -> dict[str, Scene]:
    return {name: stage.play(f"living_{name}") for name in ("done", "failed", "marked", "stopped")}


def until_it_shows(scene: Scene, dialog: str, words: str) -> list[str]:
    """The lines of the run's only message, when these words are in it."""

    def shown() -> list[str]:
        found = [one for one in scene.portal.messages(dialog) if scene.run.run_id in one.text]
        assert len(found) <= 1, describe()
        return found[0].text.splitlines() if found and words in found[0].text else []

    def describe() -> str:
        return f"{[one.text for one in scene.portal.messages(dialog)]} {scene.run.describe()}"

    lines: list[str] = until(shown, words, SECONDS, describe)
    return lines


def edits(scene: Scene) -> int:
    number = 0
    for message in scene.portal.messages(scene.dialog):
        number += sum(
            call.method == "im.message.update" and call.params.get("MESSAGE_ID") == message.id
            for call in scene.portal.calls
        )
    return number


def test_a_run_with_mapped_tasks_that_succeeds(scenes: dict[str, Scene]) -> None:
    scene = scenes["done"]
    assert scene.run.wait() == "success"
    lines = until_it_shows(scene, scene.dialog, "✅ [b]living_done[/b] is done in ")
    assert lines[1:3] == ["5 of 5 tasks", "All parts are there"]
    message, answer = scene.portal.messages(scene.dialog)
    assert answer.text == "[b]Details[/b]"
    (reply,) = (call for call in scene.portal.calls if call.params.get("REPLY_ID") == message.id)
    assert reply.error is None
    # Five tasks have begun and ended, and one of them has told of its progress ten thousand times.
    assert edits(scene) <= 14
    assert scene.run.xcom("sum_up") < 10


def test_a_run_that_fails_after_a_retry(scenes: dict[str, Scene], stage: Stage) -> None:
    scene = scenes["failed"]
    assert scene.run.wait() == "failed"
    lines = until_it_shows(scene, scene.dialog, "❌ [b]living_failed[/b] failed after ")
    assert "⚠️ [b]breaks[/b] failed (try 2 of 2): ValueError: no [\u200bb]bold[\u200b/b] words" in lines[2]
    assert f"[url={stage.airflow.url}/dags/living_failed/runs/" in lines[2]
    assert len(scene.portal.messages(scene.dialog)) == 1


def test_marks_are_enough(scenes: dict[str, Scene]) -> None:
    """The run's end is told by the scheduler: its last task is killed, and tells nothing."""
    scene = scenes["marked"]
    assert scene.run.wait() == "failed"
    until_it_shows(scene, "4", "❌ [b]living_marked[/b] failed after ")
    task = scene.run.task("typing")
    assert len(scene.signals) == 1
    assert task.start <= scene.signals[0] <= task.end


def test_a_run_that_a_person_has_marked(scenes: dict[str, Scene]) -> None:
    """The scheduler tells that it begins, although no task does; the API server tells of its end."""
    scene = scenes["stopped"]
    until_it_shows(scene, "2", "▶️ [b]living_stopped[/b] is running")
    scene.run.mark_run("failed")
    until_it_shows(scene, "2", "❌ [b]living_stopped[/b] failed after ")


def test_variables_do_not_pile_up(scenes: dict[str, Scene], stage: Stage) -> None:
    for scene in scenes.values():
        scene.run.wait()
    until_it_shows(scenes["failed"], scenes["failed"].dialog, "❌")

    def left() -> list[str]:
        found = stage.airflow.client.get("variables", limit=100)["variables"]
        return sorted(one["key"] for one in found if one["key"].startswith("bitrix24_run"))

    # For each of the four runs what is known of it, what became of posting, who was to post; and the list of the runs.
    until(lambda: len(left()) == 16, "records and lists", SECONDS, lambda: str(left()))
