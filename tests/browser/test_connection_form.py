"""The form of a Bitrix24 connection in Airflow's own pages."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from airflow_provider_b24.hooks.settings import EXTRAS
from tests.airflow.stage import Stage

pytestmark = [pytest.mark.airflow, pytest.mark.browser, pytest.mark.usefixtures("restarts")]

STANDARD = {
    "Description": ("description", "The portal of the sales department"),
    "Portal": ("host", "example.bitrix24.com"),
    "Webhook user id": ("login", "13"),
    "Webhook code or whole webhook URL": ("password", "form-webhook-code"),
    "Port": ("port", 8443),
    "Scheme": ("schema", "https"),
}
EXTRA = {
    "Application: client_id": ("client_id", "local.form"),
    "Application: client_secret": ("client_secret", "form-client-secret"),
    "Application: access_token": ("access_token", "form-access-token"),
    "Application: refresh_token": ("refresh_token", "form-refresh-token"),
    "Application: token address": ("oauth_url", "https://oauth.example.com/token/"),
    "Bot: id": ("bot_id", 101),
    "Bot: token": ("bot_token", "form-bot-token"),
    "Time-out (s)": ("timeout", 30),
    "Longest request (s)": ("longest_request", 90),
    "Deadline (s)": ("deadline", 600),
    "Largest answer (MB)": ("max_response_mb", 8),
    "Verify TLS": ("verify", "false"),
    "Proxy": ("proxy", "http://proxy.example.com:3128"),
    "Redirects to": ("redirect_hosts", "example.com"),
    "Plan": ("plan", "enterprise"),
    "Requests at once": ("burst", 20),
    "Requests a second": ("rate", 4),
    "Execution time of a method (s)": ("operating_limit", 900),
    "Limiter: Redis URL": ("limiter_url", "redis://redis.example.com:6379/0"),
}
SECRET = ("password", "client_secret", "access_token", "refresh_token", "bot_token", "proxy")


class Form:
    """The dialog "Add Connection", with Bitrix24 chosen."""

    def __init__(self, page: Page, stage: Stage) -> None:
        page.goto(f"{stage.airflow.url}/connections")
        page.get_by_role("button", name="Add Connection").click()
        self.page = page
        self.dialog = page.get_by_role("dialog")
        self.choose(self.dialog.get_by_role("combobox").first, "Bitrix24")

    def choose(self, box: Locator, option: str) -> None:
        box.click()
        box.fill(option)
        self.page.get_by_role("option", name=option, exact=True).click()

    def open(self, part: str) -> None:
        header = self.dialog.get_by_role("button", name=part, exact=True)
        if header.get_attribute("aria-expanded") != "true":
            header.click()
            expect(header).to_have_attribute("aria-expanded", "true")

    def fill(self, label: str, value: object) -> None:
        # A label ends with a star where the field is required.
        words = self.page.locator("label").filter(has_text=re.compile(rf"^{re.escape(label)}\s*\*?$"))
        field = self.dialog.locator('[data-scope="field"][data-part="root"]').filter(has=words)
        choice = field.get_by_role("combobox")
        if choice.count():
            self.choose(choice, str(value))
        else:
            field.locator("input, textarea").first.fill(str(value))

    def save(self) -> None:
        self.dialog.get_by_role("button", name="Save").click()
        expect(self.dialog).to_be_hidden()


def test_every_field_arrives_where_it_belongs(page: Page, stage: Stage, tmp_path: Path) -> None:
    form = Form(page, stage)
    form.fill("Connection ID", "from_the_form")
    form.open("Standard Fields")
    for label, (_, value) in STANDARD.items():
        form.fill(label, value)
    page.screenshot(path=tmp_path / "standard.png")
    form.open("Extra Fields")
    for label, (_, value) in EXTRA.items():
        form.fill(label, value)
    page.screenshot(path=tmp_path / "extra.png")
    form.save()

    assert tuple(name for name, _ in EXTRA.values()) == EXTRAS
    stored = stage.airflow.client.get("connections/from_the_form")
    assert stored["conn_type"] == "bitrix24"
    for name, value in STANDARD.values():
        assert stored[name] == ("***" if name in SECRET else value), name
    extra = json.loads(stored["extra"])
    assert {name: extra[name] for name, _ in EXTRA.values()} == {
        name: "***" if name in SECRET else value for name, value in EXTRA.values()
    }


def test_a_task_gets_what_was_filled_in(stage: Stage) -> None:
    printed = stage.airflow.run("connections", "get", "from_the_form", "--output", "json")
    # Airflow 3.2 prints a warning in front.
    (found,) = json.loads(printed[printed.index("[{") :])
    extra = found["extra_dejson"]

    # Airflow's page makes texts of numbers.
    assert {name: str(value) for name, value in extra.items()} == {name: str(value) for name, value in EXTRA.values()}
    for name, value in STANDARD.values():
        assert name == "description" or str(found[name]) == str(value)


def test_the_page_hides_the_secrets(page: Page, stage: Stage, tmp_path: Path) -> None:
    page.goto(f"{stage.airflow.url}/connections")
    row = page.get_by_role("row").filter(has_text="from_the_form")
    expect(row).to_contain_text("example.bitrix24.com")
    row.get_by_role("button", name="Edit Connection").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator('[name="host"]')).to_have_value("example.bitrix24.com")
    expect(dialog.locator('[name="password"]')).to_have_value("***")
    page.screenshot(path=tmp_path / "edit.png")

    shown = page.content() + "".join(field.input_value() for field in dialog.locator("input, textarea").all())
    for name, value in (STANDARD | EXTRA).values():
        if name in SECRET:
            assert str(value) not in shown


def test_the_button_says_who_it_is(page: Page, stage: Stage, tmp_path: Path) -> None:
    form = Form(page, stage)
    form.fill("Connection ID", "whole_url")
    form.open("Standard Fields")
    form.fill("Webhook code or whole webhook URL", stage.portal.webhook_url)
    # Where it is empty, Airflow's page asks for the test with port 0, and Airflow refuses: not the stored port.
    form.fill("Port", stage.portal.port)
    form.open("Extra Fields")
    form.fill("Bot: id", 101)
    form.fill("Bot: token", stage.portal.bot_token)
    form.fill("Plan", "unlimited")
    form.save()
    answer = press_test(page, "whole_url")
    page.screenshot(path=tmp_path / "tested.png")

    assert answer["status"] is True, answer
    assert "as Anna Petrova (user 1, administrator). Scopes: crm, disk, im, imbot" in answer["message"]
    assert stage.portal.access.webhook_code not in page.content()


def test_the_button_says_what_is_wrong(page: Page, stage: Stage, tmp_path: Path) -> None:
    form = Form(page, stage)
    form.fill("Connection ID", "wrong_code")
    form.open("Standard Fields")
    for label, value in (("Portal", "127.0.0.1"), ("Webhook user id", 1), ("Port", stage.portal.port)):
        form.fill(label, value)
    form.fill("Webhook code or whole webhook URL", "form-wrong-code")
    form.fill("Scheme", "http")
    form.save()
    answer = press_test(page, "wrong_code")

    assert answer["status"] is False
    expect(page.get_by_text("INVALID_CREDENTIALS")).to_be_visible()
    page.screenshot(path=tmp_path / "wrong.png")
    assert "form-wrong-code" not in page.content()


def press_test(page: Page, conn_id: str) -> dict[str, Any]:
    """Press the button in the list; what Airflow answers. Of a success, its page shows no more than a green sign."""
    row = page.get_by_role("row").filter(has_text=conn_id)
    with page.expect_response("**/connections/test") as answered:
        row.get_by_role("button", name="Test Connection").click()
    answer: dict[str, Any] = answered.value.json()
    return answer


def test_the_database_has_no_secret_in_clear(stage: Stage) -> None:
    with closing(sqlite3.connect(stage.airflow.home / "airflow.db")) as database:
        rows = str(database.execute("SELECT * FROM connection").fetchall())
        log = str(database.execute("SELECT * FROM log").fetchall())

    assert "from_the_form" in rows
    for name, value in (STANDARD | EXTRA).values():
        if name in SECRET:
            assert str(value) not in rows
            assert str(value) not in log
