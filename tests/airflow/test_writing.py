"""One signal, and ``keep_for``."""

from __future__ import annotations

import math

import pytest

from airflow_provider_b24.testing import Fault
from tests.airflow.light import ALWAYS, NOTICED
from tests.airflow.stage import MANY, TROUBLES, Scene, Stage

pytestmark = pytest.mark.airflow

# The interval of the DAG keep_for_many.
MANY_INTERVAL = 4


def chat_link(scene: Scene) -> dict[str, str]:
    return {"Chat in Bitrix24": f"{scene.portal.url}/online/?IM_DIALOG={scene.dialog}"}


def test_one_signal(stage: Stage) -> None:
    scene = stage.play("one_signal")

    assert scene.run.wait() == "success"
    task = scene.run.task("typing")
    (signal,) = scene.signals
    assert task.start <= signal <= task.end


def test_the_bot_shows_a_status(stage: Stage) -> None:
    scene = stage.play("status", connection="bot")

    assert scene.run.wait() == "success"
    (signal,) = stage.portal.signals(scene.dialog)
    assert (signal.author_id, signal.status) == (101, "IMBOT_AGENT_ACTION_CALCULATING")


def test_a_status_without_a_bot_fails_at_once(stage: Stage) -> None:
    scene = stage.play("status")

    assert scene.run.wait() == "failed"
    assert len(scene.run.tries("typing")) == 1
    assert scene.signals == []
    assert "has no bot to show it" in scene.run.log("typing")


def test_a_dialog_without_access_fails_at_once(stage: Stage) -> None:
    scene = stage.play("one_signal", dialog="chat2936")

    assert scene.run.wait() == "failed"
    (only,) = scene.run.tries("typing")
    assert only.try_number == 1
    assert scene.signals == []
    log = scene.run.log("typing")
    assert "ACCESS_ERROR" in log
    assert "Add it to the chat, or use another dialog id." in log


def test_a_dialog_that_is_none_fails_at_once(stage: Stage) -> None:
    scene = stage.play("one_signal", dialog="sales")

    assert scene.run.wait() == "failed"
    assert len(scene.run.tries("typing")) == 1
    assert "'chat2935'" in scene.run.log("typing")


def test_a_passing_trouble_costs_no_try(stage: Stage) -> None:
    stage.shaky.faults.add(Fault("html_503", method="im.dialog.writing", times=2))
    stage.shaky.faults.add(Fault("reset", method="im.dialog.writing", times=1))
    scene = stage.play("one_signal", portal=stage.shaky, connection="shaky")

    assert scene.run.wait() == "success"
    assert len(scene.run.tries("typing")) == 1
    assert len(scene.signals) == 1


def test_a_longer_trouble_is_retried(stage: Stage) -> None:
    fault = stage.shaky.faults.add(Fault("html_503", method="im.dialog.writing", times=5))
    scene = stage.play("one_signal", portal=stage.shaky, connection="shaky")

    assert scene.run.wait() == "success"
    assert fault.hits == 5
    first, second = scene.run.tries("typing")
    assert (first.state, second.state) == ("failed", "success")
    assert len(scene.signals) == 1


def test_trouble_does_not_end_the_typing(stage: Stage, long_runs: dict[str, Scene]) -> None:
    scene = long_runs["keep_for_shaky"]
    assert scene.run.wait() == "success"
    first = scene.signals[0]

    assert len([call for call in stage.trouble.calls if call.status != 200]) == len(TROUBLES)
    assert stage.trouble.lit_share(scene.dialog, first, first + 36) == ALWAYS
    # Once as a failure, and once as a signal that the limit leaves no room for.
    assert scene.run.log("typing").count("could not be lit") == 2


def test_kept_lit_for_a_while(stage: Stage, long_runs: dict[str, Scene]) -> None:
    keep_for = long_runs["keep_for"]
    run = keep_for.run
    assert run.wait() == "success"
    task = run.task("typing")
    start, end = keep_for.signals[0], keep_for.signals[0] + 30

    assert run.links("typing") == chat_link(keep_for)
    assert stage.portal.lit_share(keep_for.dialog, start, end) == ALWAYS
    assert end - 1 <= task.end <= end + 2 * NOTICED
    assert keep_for.signals[-1] <= end
    # A client shows the last signal for 25 s: one that is sent later than necessary keeps it lit for too long.
    assert stage.portal.lit_share(keep_for.dialog, end, end + 60) * 60 <= 12 + NOTICED


def test_many_signals_share_their_requests(stage: Stage, long_runs: dict[str, Scene]) -> None:
    assert long_runs["keep_for_many"].run.wait() == "success"
    dialogs = [f"chat{number}" for number in range(2951, 2951 + MANY)]
    signals = sum(len(stage.busy.signals(dialog)) for dialog in dialogs)
    batches = [call for call in stage.busy.requests if call.method == "batch"]
    single = [call for call in stage.busy.requests if call.method == "im.dialog.writing"]
    in_batches = [call for call in stage.busy.calls if call.in_batch]

    assert {call.method for call in in_batches} == {"im.dialog.writing"}
    assert len(in_batches) + len(single) == signals
    assert not [call for call in stage.busy.calls if call.error]
    # Each task sends its first signal itself, from a process of its own.
    by_trigger = signals - MANY
    assert by_trigger >= MANY * math.floor((50 - 25) / MANY_INTERVAL)
    assert len(batches) + len(single) - MANY <= by_trigger / 3
    for dialog in dialogs:
        start = stage.busy.signals(dialog)[0].time
        assert stage.busy.lit_share(dialog, start, start + 50) == ALWAYS


def test_nothing_secret_waits_in_the_database(stage: Stage) -> None:
    scene = stage.play("keep_for_shaky", portal=stage.shaky, connection="shaky")
    scene.run.wait_for("typing", "deferred")
    assert scene.run.links("typing") == chat_link(scene)
    kwargs = stage.airflow.waiting_triggers()

    assert [one for one in kwargs if scene.dialog in one]
    code = stage.shaky.access.webhook_code
    assert not [one for one in kwargs if code in one]
    scene.run.mark_run("failed")
