"""Where a connection comes from, and what its test says; the form is in tests/browser."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.airflow.stage import Stage

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("long_runs")]


def test_the_command_line_tests_it(stage: Stage) -> None:
    printed = stage.airflow.run("connections", "test", "bitrix24_default")

    assert "Connection success!" in printed
    assert stage.portal.access.webhook_code not in printed


def answer_of(stage: Stage, fields: dict[str, Any]) -> dict[str, Any]:
    """What the Test button of the form shows."""
    body = {**fields, "connection_id": "not_saved", "extra": json.dumps(fields.get("extra", {}))}
    return stage.airflow.client.post("connections/test", body)


@pytest.mark.parametrize("kind", ["connection", "bot_connection", "oauth_connection"])
def test_the_api_server_says_who_it_is(stage: Stage, kind: str) -> None:
    answer = answer_of(stage, getattr(stage.portal, kind)())

    assert answer["status"] is True
    assert "as Anna Petrova (user 1, administrator)." in answer["message"]
    assert "Scopes: crm, disk, im" in answer["message"]
    assert "Missing" not in answer["message"]


def test_the_api_server_says_what_is_wrong(stage: Stage) -> None:
    answer = answer_of(stage, {**stage.portal.connection(), "password": "0123456789abcdef"})

    assert answer["status"] is False
    assert "INVALID_CREDENTIALS" in answer["message"]
    assert "0123456789abcdef" not in answer["message"]


def test_a_url_in_the_host_is_refused(stage: Stage) -> None:
    answer = answer_of(stage, {"conn_type": "bitrix24", "host": stage.portal.webhook_url})

    assert answer["status"] is False
    assert "Put the webhook URL into the field 'password'" in answer["message"]
    assert stage.portal.access.webhook_code not in answer["message"]


def test_secrets_of_a_stored_connection_are_hidden(stage: Stage) -> None:
    stored = stage.airflow.client.get("connections/stored")

    assert stored["conn_type"] == "bitrix24"
    assert (stored["host"], stored["port"], stored["login"]) == ("127.0.0.1", stage.portal.port, "1")
    assert stored["password"] == "***"
    extra = json.loads(stored["extra"])
    assert extra["bot_id"] == 101
    assert extra["bot_token"] == "***"
