"""Renewed tokens are where every part of Airflow finds them: tasks, triggers, callbacks, the Test button, commands."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from airflow_provider_b24.testing import FakePortal, Fault
from tests.airflow.client import until
from tests.airflow.components import texts
from tests.airflow.stage import Scene, Stage

pytestmark = pytest.mark.airflow

CONNECTIONS = ("tokens_task", "tokens_trigger", "tokens_callback")


@pytest.fixture(scope="module")
def scenes(stage: Stage) -> Iterator[dict[str, Scene]]:
    """Everybody meets an access token that has expired."""
    portal = stage.tokens
    typing = stage.play("tokens_typing", portal=portal)
    typing.run.wait_for("typing", "deferred")
    typing.wait_for_signals(3)
    portal.expire_tokens()
    # While the first renews, the others come.
    portal.faults.add(Fault("slow", "oauth.token", seconds=1.5, times=None))
    renewed = stage.play("tokens_renewed", portal=portal)
    yield {"typing": typing, "renewed": renewed}
    typing.run.mark_run("failed")


def renewals(portal: FakePortal, connection: dict[str, Any]) -> list[int | None]:
    """What the authorisation server answered to a connection's first refresh token."""
    first = connection["extra"]["refresh_token"]
    calls = [call for call in portal.calls if call.method == "oauth.token"]
    return [call.status for call in calls if call.params.get("refresh_token") == first]


def test_eight_tasks_and_one_renewal(stage: Stage, scenes: dict[str, Scene]) -> None:
    run = scenes["renewed"].run
    assert run.wait() == "success"
    assert [task.state for task in run.tasks("who")] == ["success"] * 8
    assert renewals(stage.tokens, stage.applications["tokens_task"]) == [200]


def test_a_callback_of_a_run(stage: Stage, scenes: dict[str, Scene]) -> None:
    scene = scenes["renewed"]
    until(lambda: scene.portal.messages(scene.dialog), "the message", 30, stage.airflow.output)
    assert renewals(stage.tokens, stage.applications["tokens_callback"]) == [200]
    assert variable(stage, "bitrix24_tokens_tokens_callback")


def test_a_trigger(stage: Stage, scenes: dict[str, Scene]) -> None:
    scene = scenes["typing"]
    scene.wait_for_signals(len(scene.signals) + 2)
    assert renewals(stage.tokens, stage.applications["tokens_trigger"]) == [200]
    assert variable(stage, "bitrix24_tokens_tokens_trigger")
    assert scene.run.task("typing").state == "deferred"


def test_the_test_button(stage: Stage, scenes: dict[str, Scene]) -> None:
    """It gives the connection another name, and finds and leaves the tokens where tasks have them."""
    stored = stage.applications["tokens_stored"]
    body = {"connection_id": "tokens_stored", "conn_type": "bitrix24"}
    for _ in range(2):
        answer = stage.airflow.client.post("connections/test", body)
        assert "as Anna Petrova" in answer["message"]
    assert renewals(stage.tokens, stored) == [200]
    scene = stage.play("tokens_stored", portal=stage.tokens)
    assert scene.run.wait() == "success", scene.run.log("after_the_test")
    assert len([call for call in stage.tokens.calls if call.method == "oauth.token"]) == len(stage.applications)


def test_the_command_line(stage: Stage, scenes: dict[str, Scene]) -> None:
    printed = stage.airflow.run("bitrix24", "authorize", "tokens_none", "--code", stage.tokens.access.new_code())
    assert "Authorised: the tokens of the connection 'tokens_none' are stored." in printed
    assert "as Anna Petrova (user 1, administrator). Scopes: crm" in printed
    assert variable(stage, "bitrix24_tokens_tokens_none")
    unsaved = {**stage.unauthorised, "connection_id": "unsaved", "extra": json.dumps(stage.unauthorised["extra"])}
    answer = stage.airflow.client.post("connections/test", unsaved)
    assert answer["status"] is True, answer


def variable(stage: Stage, name: str) -> str:
    """What Airflow's database has under a name."""
    with closing(sqlite3.connect(stage.airflow.home / "airflow.db")) as database:
        found = database.execute("SELECT val FROM variable WHERE key = ? AND is_encrypted", (name,)).fetchall()
    assert len(found) == 1, name
    return found[0][0]


def test_nobody_is_shown_them(stage: Stage, scenes: dict[str, Scene]) -> None:
    scenes["renewed"].run.wait()
    found = stage.airflow.client.get("variables", variable_key_pattern="bitrix24_token", limit=100)["variables"]
    names = Counter(re.sub("_[0-9a-f]{32}$", "", one["key"]) for one in found)
    assert {f"bitrix24_tokens_{name}" for name in CONNECTIONS} <= set(names)
    assert names["bitrix24_token_homes"] >= 3
    assert all(one["is_encrypted"] for one in found)
    for one in found:
        value = json.loads(one["value"])
        assert set(value.values() if isinstance(value, dict) else value) <= {"***", None}, one["key"]
    access = stage.tokens.access
    used = {call.params.get("refresh_token") for call in stage.tokens.calls} - {None}
    secrets = {access.client_secret, *access._access, *access._refresh, *used}
    assert len(secrets) > 12
    logs = {path: text for folder in ("logs", "output") for path, text in texts(stage.airflow.home / folder)}
    assert not [str(path) for path, text in logs.items() if any(secret in text for secret in secrets)]
