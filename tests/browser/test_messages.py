"""What the provider posts, as people see it in the chat. ``B24_IMAGES=1`` keeps what is seen for the documentation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Context
from airflow.sdk.types import TaskInstanceKey
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from airflow_provider_b24.chat.text import table
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.links.portal import MessageLink
from airflow_provider_b24.operators.message import MessageAddOperator
from airflow_provider_b24.testing import FakePortal
from tests.portal.notifications.test_run_message import Run, in_task
from tests.unit.operators.conftest import connect, context, dag, lasting_portal, portal, supervised

__all__ = ["connect", "context", "dag", "in_task", "lasting_portal", "portal", "supervised"]

pytestmark = pytest.mark.browser

CHAT = "chat2935"
IMAGES = Path(__file__).parents[2] / "docs" / "images"

REPORT = """\
# Sales, week 47

Revenue is **up 12 %**, most of it from [one deal](https://example.bitrix24.com/crm/deal/details/1663/).

1. Offices: *as planned*
2. Laptops: ~~late~~ delivered

```sql
SELECT stage, SUM(amount) FROM deals
GROUP BY stage;
```

> Returns are not in it yet.
"""
STAGES = [
    {"Stage": "In progress", "Deals": 709, "Amount": Decimal("72742420.00"), "Change": -3.25},
    {"Stage": "Won", "Deals": 1700, "Amount": Decimal("967377390.50"), "Change": 12.5},
    {"Stage": "Lost", "Deals": 7, "Amount": Decimal("881760.00"), "Change": 0},
]

# Where the letters of each element end, whatever the room around them.
RIGHT_EDGES = """(elements) => elements.map((element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return range.getBoundingClientRect().right;
})"""


@pytest.fixture(scope="module")
def chat(browser: Browser, lasting_portal: FakePortal) -> Iterator[Page]:
    """One page for all of them, on which no error may show."""
    page = browser.new_page(viewport={"width": 1180, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(10_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if "127.0.0.1" not in request.url else None)
    page.goto(f"{lasting_portal.url}/?dialog={CHAT}")
    expect(page.locator("#live.on")).to_be_visible()
    yield page
    page.close()
    assert problems == []


@pytest.fixture
def hook(portal: FakePortal) -> Iterator[Bitrix24Hook]:
    with Bitrix24Hook() as hook:
        yield hook


@pytest.fixture
def see(chat: Page) -> Callable[[int], Locator]:
    """The message of an id, which appears by itself."""

    def seen(message_id: int) -> Locator:
        box = chat.locator(f'[data-message-id="{message_id}"]')
        expect(box).to_be_visible()
        return box

    return seen


def keep(chat: Page, name: str, *shown: Locator) -> None:
    """Keep a picture of these messages, one below the other, for the documentation."""
    if os.environ.get("B24_IMAGES") != "1":
        return
    chat.mouse.move(0, 0)
    boxes = [box_of(part) for one in shown for part in (one.locator(".avatar"), one.locator(".bubble"))]
    left, top = min(box["x"] for box in boxes) - 14, min(box["y"] for box in boxes) - 4
    right = max(box["x"] + box["width"] for box in boxes) + 14
    bottom = max(box["y"] + box["height"] for box in boxes) + 3
    chat.screenshot(path=IMAGES / name, clip={"x": left, "y": top, "width": right - left, "height": bottom - top})


def box_of(element: Locator) -> FloatRect:
    """Where it is on the page."""
    box = element.bounding_box()
    assert box is not None, f"{element} is not shown"
    return box


def test_numbers_of_a_table_are_flush_right(chat: Page, hook: Bitrix24Hook, see: Callable[[int], Locator]) -> None:
    attach = table(STAGES, title="Deals by stage").attach()
    wide = see(hook.send_message(CHAT, "Four columns", attach=attach))
    columns = [wide.locator(f".grid > :nth-child({number}) .value") for number in (1, 2, 3, 4)]
    assert [column.count() for column in columns] == [3] * 4
    for column in columns[1:]:
        edges = column.evaluate_all(RIGHT_EDGES)
        assert max(edges) - min(edges) < 1.5, edges
    # Names are not.
    edges = columns[0].evaluate_all(RIGHT_EDGES)
    assert max(edges) - min(edges) > 10
    # Each column begins at one place in all rows.
    for column in columns:
        assert len({round(box_of(one)["x"]) for one in column.all()}) == 1

    pairs = see(hook.send_message(CHAT, "Two columns", attach=table({"Won": 1700, "Lost": 7, "New": 21}).attach()))
    edges = pairs.locator(".grid .value").evaluate_all(RIGHT_EDGES)
    assert len(edges) == 3
    assert max(edges) - min(edges) < 1.5, edges
    keep(chat, "table.png", wide)


def test_markdown_is_shown_as_it_is_meant(chat: Page, hook: Bitrix24Hook, see: Callable[[int], Locator]) -> None:
    box = see(hook.send_message(CHAT, REPORT, markdown=True))
    expect(box.locator("b").first).to_have_text("Sales, week 47")
    expect(box.locator("b", has_text="up 12 %")).to_be_visible()
    expect(box.locator("i", has_text="as planned")).to_be_visible()
    expect(box.locator("s", has_text="late")).to_be_visible()
    expect(box.locator("a")).to_have_attribute("href", "https://example.bitrix24.com/crm/deal/details/1663/")
    expect(box.locator("blockquote")).to_have_text("Returns are not in it yet.")
    code = box.locator("code")
    expect(code).to_contain_text("GROUP BY stage;")
    assert "Mono" in code.evaluate("element => getComputedStyle(element).fontFamily")
    narrow, broad = code.evaluate(
        """element => ['iiii', 'MMMM'].map((text) => {
            const probe = element.appendChild(document.createElement('span'));
            probe.textContent = text;
            const { width } = probe.getBoundingClientRect();
            probe.remove();
            return width;
        })"""
    )
    assert narrow == broad
    keep(chat, "markdown.png", box)


def test_a_file_has_a_card(chat: Page, hook: Bitrix24Hook, see: Callable[[int], Locator]) -> None:
    content = b"stage,deals\n" + b"Won,1700\n" * 300
    box = see(hook.send_file(CHAT, content, name="deals.csv", message="All of them"))
    expect(box.locator(".text")).to_have_text("All of them")
    card = box.locator("a.file")
    expect(card).to_contain_text("deals.csv")
    expect(card.locator("small")).to_have_text("2.6 KB")
    with chat.expect_download() as loaded:
        card.click()
    assert loaded.value.suggested_filename == "deals.csv"
    assert Path(loaded.value.path()).read_bytes() == content
    keep(chat, "file.png", box)


def test_the_message_of_a_run_lives(
    chat: Page, portal: FakePortal, hook: Bitrix24Hook, see: Callable[[int], Locator], in_task: Callable[..., Any]
) -> None:
    chat.evaluate("window.loadedOnce = true")
    run = Run("seen", interval=0.001)
    run.task("load", "running")
    (posted,) = portal.messages(CHAT)
    box = see(posted.id)
    expect(box).to_contain_text("weekly is running")
    expect(box).to_contain_text("0 of 2 tasks · now: load")
    later = see(hook.send_message(CHAT, "Meanwhile", as_bot=False))
    with in_task(run.context("load", "running")):
        run.message.update(progress=0.4, text="12 of 30 files")
    expect(box).to_contain_text("12 of 30 files")
    keep(chat, "run.png", box)
    run.task("load", "failed", ValueError("no column [b]amount[/b]"))
    run.message(run.end("failed", "task_failure", "load"))
    expect(box).to_contain_text("weekly failed after")
    expect(box).to_contain_text("ValueError: no column [b]amount[/b]")
    expect(box.locator("a", has_text="log")).to_have_attribute("href", "http://airflow/log")
    expect(box.locator("time").last).to_contain_text("edited")
    # It has changed where it was, and nothing was loaded anew.
    assert box_of(box)["y"] < box_of(later)["y"]
    assert chat.evaluate("window.loadedOnce")


def test_an_extra_link_opens_its_message(chat: Page, portal: FakePortal, supervised: object, context: Context) -> None:
    for number in range(30):
        portal.add_message(CHAT, 3, f"Before it: {number}")
    operator = MessageAddOperator(task_id="report", dialog_id=CHAT, message="The [b]report[/b]")
    message = operator.execute(context)
    for number in range(30):
        portal.add_message(CHAT, 2, f"After it: {number}")

    address = MessageLink().get_link(operator, ti_key=TaskInstanceKey("dag", "report", "run", 1, -1))
    assert address == f"{portal.url}/online/?IM_DIALOG={CHAT}&IM_MESSAGE={message}"
    chat.goto(address)
    expect(chat.locator("header")).to_contain_text("Sales reports")
    box = chat.locator(f'[data-message-id="{message}"]')
    expect(box).to_be_in_viewport()
    expect(chat.locator(".sought")).to_have_count(1)
    expect(chat.locator(".sought b")).to_have_text("report")
    chat.goto(f"{portal.url}/?dialog={CHAT}")
    expect(box).not_to_be_in_viewport()
