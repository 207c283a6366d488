"""Callbacks of a real Airflow: exactly one alert for each event."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from airflow_provider_b24.testing.records import Message
from tests.airflow.client import until
from tests.airflow.stage import BOT, OWNER, Stage

pytestmark = pytest.mark.airflow

NAMES = ("run", "retried", "killed", "mapped", "healed", "lost", "async", "sync", "ask")


class Alerts:
    """The runs, and a dialog for each kind of event."""

    def __init__(self, stage: Stage) -> None:
        self.portal = stage.portal
        self.airflow = stage.airflow
        self.dialogs = {name: self.portal.add_chat(name, members=(OWNER, BOT)) for name in NAMES}
        self.pids = stage.airflow.home / "lost.pids"
        conf: dict[str, Any] = {"dialogs": self.dialogs, "pids": str(self.pids)}
        self.late, self.ask, self.run = (
            stage.play(dag_id, **conf).run for dag_id in ("alerts_late", "alerts_ask", "alerts")
        )

    def messages(self, name: str) -> list[Message]:
        return self.portal.messages(self.dialogs[name])

    def wait_for(self, name: str, count: int = 1) -> list[str]:
        until(lambda: len(self.messages(name)) >= count, f"{count} messages in {name}", 60, self.airflow.output)
        return [message.text for message in self.messages(name)]

    def called_back(self) -> bool:
        """Whether the callback of the run has ended in the DAG processor."""
        logs = (self.airflow.home / "logs" / "dag_processor").rglob("alerts.py.log")
        return any("Alert about alerts (dag_failure)" in log.read_text(errors="replace") for log in logs)

    def lose_heartbeat(self) -> None:
        """Stop the task and who watches it, and let it be long ago that they were heard of."""
        until(self.pids.exists, "the task that gets lost", 60, self.run.describe)
        pids = [int(pid) for pid in self.pids.read_text().split()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            with closing(sqlite3.connect(self.airflow.home / "airflow.db", timeout=30)) as database, database:
                database.execute(
                    "UPDATE task_instance SET last_heartbeat_at = '2020-01-01 00:00:00' WHERE task_id = 'lost'"
                )
            self.run.wait_for("lost", "failed", seconds=60)
        finally:
            for pid, number in zip(pids, (signal.SIGKILL, signal.SIGCONT), strict=True):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


@pytest.fixture(scope="module")
def alerts(stage: Stage) -> Iterator[Alerts]:
    alerts = Alerts(stage)
    alerts.lose_heartbeat()
    alerts.run.wait()
    yield alerts
    for run in (alerts.late, alerts.ask):
        run.mark_run("failed")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("retried", ["Task failed: alerts.retried[/B]\n", "RuntimeError: the [\u200bb]warehouse", "try 2 of 2"]),
        ("mapped", ["Task failed: alerts.mapped[", "ValueError: row ", "×3, last at"]),
        ("healed", ["Task failed: alerts.healed[/B]\nConnectionError: no way to the warehouse\n", "]Log[/URL]"]),
        ("lost", ["Task failed: alerts.lost[/B]\n", "try 1 of 1"]),
        ("run", ["Сбой DAG: alerts[/B]\nПричина: сбой задачи\n", "Задач со сбоем: ", "KeyError: 1", "KeyError: 2"]),
        ("async", ["Deadline missed: alerts_late[/B]\ndue at "]),
        ("sync", ["Deadline missed: alerts_late[/B]\ndue at "]),
        ("ask", ["A decision is needed: alerts_ask.ask[/B]\nPay?\nOptions: Yes, No\n", "required_actions"]),
    ],
)
def test_one_alert(alerts: Alerts, name: str, words: list[str]) -> None:
    (text,) = alerts.wait_for(name)
    assert [word for word in words if word not in text] == [], text


def test_nobody_calls_back_for_a_task_that_was_killed(alerts: Alerts) -> None:
    assert alerts.run.task("killed").state == "failed"
    assert alerts.messages("killed") == []
    (text,) = alerts.wait_for("run")
    (line,) = (line for line in text.split("\n") if line.startswith("• killed "))
    assert "/tasks/killed" in line
    # Nor do those that tell it by themselves, of which two are told by the lines of the digest.
    named = sorted(line.split(" ")[1] for line in text.split("\n") if line.startswith("• "))
    assert named == ["healed", "killed", "lost", "mapped[0]", "mapped[1]", "mapped[2]", "retried"]


def test_a_template_that_can_not_be_rendered_fails_no_task(alerts: Alerts) -> None:
    alerts.ask.wait_for("ask", "awaiting_input", "deferred")
    assert "'nobody_knows' is undefined" in alerts.ask.log("ask")


def test_recovered(alerts: Alerts) -> None:
    """Last, for the run fails again; which is the same failure."""
    alerts.wait_for("run")
    # Airflow loses a callback that is due in the very moment in which another of the same file ends.
    until(alerts.called_back, "the end of the callback", 60, alerts.run.describe)
    time.sleep(1.0)
    alerts.run.clear("healed")
    _, well = alerts.wait_for("healed", 2)
    assert "Recovered: alerts.healed" in well
    told, answer = alerts.messages("healed")
    assert answer.params["REPLY_ID"] == told.id
    until(lambda: "×2" in alerts.messages("run")[0].text, "the second failure of the run", 60, alerts.run.describe)
    assert len(alerts.messages("run")) == 1


def test_nothing_came_later(alerts: Alerts) -> None:
    counts = {name: len(alerts.messages(name)) for name in NAMES}
    assert counts == {name: {"killed": 0, "healed": 2}.get(name, 1) for name in NAMES}


def test_variables_are_few(stage: Stage, alerts: Alerts) -> None:
    found = stage.airflow.client.get("variables", variable_key_pattern="bitrix24_alerts", limit=200)["variables"]
    # A record for each target, the digest of the run, and two of a delivery, in each of 7 dialogs.
    assert 0 < len(found) <= 5 * len(NAMES)
