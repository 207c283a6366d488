"""A method whose execution time is used up, and ``Bitrix24RetryPolicy``."""

from __future__ import annotations

import pytest

from tests.airflow.stage import METHOD_RESETS, Scene, Stage

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def used_up(long_runs: dict[str, Scene]) -> Scene:
    return long_runs["used_up"]


@pytest.fixture(scope="module")
def ended(used_up: Scene) -> Scene:
    assert used_up.run.wait(METHOD_RESETS + 60) == "success"
    return used_up


def test_a_permanent_error_fails_at_once_although_there_are_retries(stage: Stage) -> None:
    scene = stage.play("refused_for_good", portal=stage.tight)
    assert scene.run.wait() == "failed"
    assert len(scene.run.tries("refused")) == 1
    assert "NOT_FOUND" in scene.run.log("refused")


def test_each_message_is_posted_once(ended: Scene) -> None:
    texts = [message.text for message in ended.portal.messages(ended.dialog)]
    assert texts[0] == "the last for now"
    assert sorted(texts[1:]) == ["by the operator", "by the policy", "by the report"]


def test_nothing_was_sent_that_was_refused(ended: Scene) -> None:
    calls = [call for call in ended.portal.calls if call.method == "im.message.add"]
    assert [call.error for call in calls] == [None] * 4
    assert calls[1].time - calls[0].time > 60


@pytest.mark.parametrize("task_id", ["message", "report"])
def test_the_worker_slot_was_given_back(ended: Scene, task_id: str) -> None:
    (only,) = ended.run.tries(task_id)
    assert only.state == "success"
    log = ended.run.log(task_id)
    assert "The worker slot is given back until " in log
    assert "im.message.add: not sent, until " in log
    assert "Pausing task as DEFERRED" in log


def test_the_function_of_a_report_does_not_run_again(ended: Scene) -> None:
    assert len([call for call in ended.portal.calls if call.method == "server.time"]) == 1


def test_other_methods_go_on(ended: Scene) -> None:
    assert ended.run.task("other").end < ended.run.task("message").end - 30


def test_the_portals_time_is_when_a_task_is_tried_again(ended: Scene) -> None:
    first, second = ended.run.tries("by_policy")
    assert (first.state, second.state) == ("failed", "success")
    assert 40 < second.start - first.end < METHOD_RESETS
    assert "Retry policy decision" in ended.run.log("by_policy")
