"""A long report in Airflow, seen in the chat by somebody who waits for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.airflow.stage import Stage

pytestmark = [pytest.mark.airflow, pytest.mark.browser, pytest.mark.usefixtures("restarts")]

# The report works for 28 s, and a client shows one signal for 25 s: without a second one it would go out.
POLL_SECONDS = 0.5


def test_the_indicator_is_lit_until_the_report_is_there(page: Page, stage: Stage, tmp_path: Path) -> None:
    dialog = stage.portal.add_chat("Weekly report")
    page.goto(f"{stage.portal.url}/?dialog={dialog}")
    expect(page.locator("#live.on")).to_be_visible()
    typing = page.locator("#typing")
    expect(typing).to_be_hidden()

    run = stage.play("report_long", dialog=dialog).run
    expect(typing).to_be_visible(timeout=30_000)
    expect(typing).to_have_text("Anna Petrova is typing…")
    page.screenshot(path=tmp_path / "typing.png")
    began, dark = time.monotonic(), []
    while not page.locator("[data-message-id]").count():
        # Asked twice: the message may come between the two questions, and puts the indicator out.
        if not typing.is_visible() and not page.locator("[data-message-id]").count():
            dark.append(time.monotonic() - began)
        assert time.monotonic() - began < 90, run.describe()
        page.wait_for_timeout(POLL_SECONDS * 1000)
    lit = time.monotonic() - began

    assert dark == []
    assert lit > 25
    expect(typing).to_be_hidden()
    message = page.locator("[data-message-id]")
    expect(message).to_have_count(1)
    expect(message.locator("b")).to_have_text("Weekly report")
    page.screenshot(path=tmp_path / "posted.png")

    assert run.wait() == "success"
    page.wait_for_timeout(3000)
    expect(typing).to_be_hidden()
    (posted,) = stage.portal.messages(dialog)
    assert run.xcom("weekly_report") == posted.id
    assert posted.date.timestamp() - run.task("weekly_report").start > 25
    assert stage.portal.signals(dialog)[-1].time < posted.date.timestamp()
