"""The chat page, in a browser."""

from __future__ import annotations

import shutil
import time

import pytest
import requests
from playwright.sync_api import expect, sync_playwright

from airflow_provider_b24.chat.text import escape

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian package chromium"),
]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, open_portal):  # the portal goes after the page
    page = browser.new_page(viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: problems.append(request.url) if "127.0.0.1" not in request.url else None)
    yield page
    page.close()
    assert problems == []


@pytest.fixture
def show(page, portal):
    def show(path="/?dialog=chat2935"):
        page.goto(portal.url + path)
        expect(page.locator("#live.on")).to_be_visible()
        expect(page.locator("[data-dialog]").first).to_be_visible()
        return page

    return show


@pytest.mark.parametrize("path", ["/?dialog=sg17", "/online/?IM_DIALOG=sg17", "/online/?IM_DIALOG=chat2937"])
def test_an_address_opens_a_dialog(portal, show, path):
    message = portal.add_message("sg17", 2, "hello")
    page = show(path)
    expect(page.locator(f'[data-message-id="{message}"]')).to_contain_text("hello")
    expect(page.locator("header")).to_contain_text("Warehouse project")
    page.locator('[data-dialog="chat2935"]').click()
    expect(page.locator("header")).to_contain_text("Sales reports")
    expect(page.locator(f'[data-message-id="{message}"]')).to_have_count(0)
    assert page.url.endswith("?dialog=chat2935")


def test_typing_appears_and_vanishes_at_the_message(show, call):
    page = show()
    typing = page.locator("#typing")
    expect(typing).to_be_hidden()
    call.result("im.dialog.writing", {"DIALOG_ID": "chat2935"})
    expect(typing).to_be_visible()
    expect(typing).to_have_text("Anna Petrova is typing…")
    expect(page.locator('[data-dialog="chat2935"]')).to_contain_text("Anna Petrova is typing…")
    message = call.result("im.message.add", {"DIALOG_ID": "chat2935", "MESSAGE": "the [b]report[/b]"})
    expect(typing).to_be_hidden()
    expect(page.locator(f'[data-message-id="{message}"] b')).to_have_text("report")


def test_another_authors_message_leaves_it_on(show, call, portal):
    page = show()
    call.result("im.dialog.writing", {"DIALOG_ID": "chat2935"})
    expect(page.locator("#typing")).to_be_visible()
    message = portal.add_message("chat2935", 3, "when?")
    expect(page.locator(f'[data-message-id="{message}"]')).to_be_visible()
    expect(page.locator("#typing")).to_be_visible()


def test_typing_expires_unless_it_is_renewed(open_portal, caller_of, page):
    portal = open_portal(typing_seconds=1.5)
    call = caller_of(portal)
    page.goto(portal.url + "/?dialog=chat2935")
    expect(page.locator("#live.on")).to_be_visible()
    typing = page.locator("#typing")
    call.result("im.dialog.writing", {"DIALOG_ID": "chat2935"})
    expect(typing).to_be_visible()
    page.wait_for_timeout(1000)
    call.result("im.dialog.writing", {"DIALOG_ID": "chat2935"})
    renewed = time.monotonic()
    page.wait_for_timeout(1000)
    expect(typing).to_be_visible()  # 2 s after the first signal
    expect(typing).to_be_hidden(timeout=5000)
    assert 1.3 < time.monotonic() - renewed < 2.5


def test_typing_that_began_before_the_page_was_opened(show, call):
    call.result("im.dialog.writing", {"DIALOG_ID": "chat2935"})
    expect(show().locator("#typing")).to_have_text("Anna Petrova is typing…")


def test_bots_show_their_status_and_dialogs_are_apart(show, call, portal):
    page = show()
    bot = portal.bot_connection()["extra"]
    base = {"botId": bot["bot_id"], "botToken": bot["bot_token"]}
    status = {"statusMessageCode": "IMBOT_AGENT_ACTION_CALCULATING"}
    call.result("imbot.v2.Chat.InputAction.notify", base | {"dialogId": "chat2937"})
    expect(page.locator('[data-dialog="sg17"]')).to_contain_text("Report Bot is typing…")
    expect(page.locator("#typing")).to_be_hidden()
    call.result("imbot.v2.Chat.InputAction.notify", base | status | {"dialogId": "chat2935"})
    expect(page.locator("#typing")).to_have_text("Report Bot is calculating…")
    call.result("im.dialog.writing", {"DIALOG_ID": "chat2935"})
    expect(page.locator("#typing")).to_have_text("Report Bot and Anna Petrova are typing…")


def test_messages_change_before_ones_eyes(show, call, portal):
    page = show()
    message = call.result("im.message.add", {"DIALOG_ID": "chat2935", "MESSAGE": "draft"})
    box = page.locator(f'[data-message-id="{message}"]')
    expect(box).to_contain_text("draft")
    call.result("im.message.update", {"MESSAGE_ID": message, "MESSAGE": "final"})
    expect(box).to_contain_text("final")
    call.result("im.message.delete", {"MESSAGE_ID": message})
    expect(box).to_contain_text("Message deleted")
    portal.clear()
    expect(box).to_have_count(0)
    private = call.result("im.message.add", {"DIALOG_ID": "5", "MESSAGE": "psst"})
    page.locator('[data-dialog="5"]').click()
    expect(page.locator(f'[data-message-id="{private}"]')).to_contain_text("psst")


def test_what_belongs_to_a_message(show, call, portal):
    page = show()
    question = portal.add_message("chat2935", 3, "How [b]many[/b]?")
    answer = call.result("im.message.add", {"DIALOG_ID": "chat2935", "MESSAGE": "Twelve", "REPLY_ID": question})
    box = page.locator(f'[data-message-id="{answer}"]')
    expect(box.locator(".reply")).to_have_text("Clara WeissHow many?")
    call.result("im.message.like", {"MESSAGE_ID": answer, "ACTION": "plus"})
    expect(box.locator(".reactions")).to_have_text("\u2665 1")
    expect(box.locator(".reactions span")).to_have_attribute("title", "Anna Petrova")
    call.result("im.message.like", {"MESSAGE_ID": answer, "ACTION": "minus"})
    expect(box.locator(".reactions")).to_have_count(0)
    box.locator(".reply").click()
    expect(page.locator(".sought")).to_have_attribute("data-message-id", str(question))


def test_an_address_leads_to_a_message(show, portal):
    ids = [portal.add_message("chat2935", 3, f"line {number}") for number in range(60)]
    page = show(f"/online/?IM_DIALOG=chat2935&IM_MESSAGE={ids[5]}")
    box = page.locator(f'[data-message-id="{ids[5]}"]')
    expect(box).to_have_class("message more sought")
    expect(box).to_be_in_viewport()
    # Also from within a message, and what is not there does no harm.
    link = portal.add_message("chat2935", 3, f"[context=chat2935/{ids[40]}]there[/context]")
    target = page.locator(f'[data-message-id="{link}"] a').get_attribute("href")
    show(target)
    expect(page.locator(f'[data-message-id="{ids[40]}"]')).to_be_in_viewport()
    show("/online/?IM_DIALOG=chat2935&IM_MESSAGE=9")
    expect(page.locator(f'[data-message-id="{link}"]')).to_be_in_viewport()
    expect(page.locator(".sought")).to_have_count(0)


def test_notifications_are_behind_a_bell(show, call):
    page = show()
    expect(page.locator("#bell")).to_be_hidden()
    call.result("im.notify.system.add", {"USER_ID": 3, "MESSAGE": "The [b]import[/b] failed"})
    expect(page.locator("#count")).to_have_text("1")
    note = call.result("im.notify.personal.add", {"USER_ID": 2, "MESSAGE": "It runs again"})
    expect(page.locator("#count")).to_have_text("2")
    page.locator("#bell summary").click()
    newest, first = page.locator(".notification").all()
    expect(newest).to_contain_text("Anna Petrova")
    expect(newest).to_contain_text("to Boris Orlov")
    expect(first).to_contain_text("The system")
    expect(first.locator(".text b")).to_have_text("import")
    call.result("im.notify.delete", {"ID": note})
    expect(page.locator(".notification")).to_have_count(1)


def test_blocks_of_an_attachment(show, call, portal):
    page = show()
    rows = [
        {"DISPLAY": "ROW", "NAME": "Won", "VALUE": "5", "COLOR_TOKEN": "alert"},
        {"DISPLAY": "ROW", "VALUE": "alone[br]and long"},
        {"DISPLAY": "ROW", "NAME": "By", "VALUE": "Clara", "USER_ID": 3},
    ]
    attach = [
        {"GRID": rows},
        {"GRID": [{"DISPLAY": "LINE", "NAME": "Stage", "VALUE": "New", "WIDTH": 90}] * 2},
        {"USER": {"NAME": "Boris Orlov", "USER_ID": 2}},
        {"FILE": {"NAME": "a.csv", "LINK": "/files/1/a.csv", "SIZE": 1500000}},
        {"IMAGE": {"NAME": "elsewhere", "LINK": "https://example.com/i.png"}},
        {"DELIMITER": {"SIZE": 120, "COLOR": "#c6c6c6"}},
    ]
    keyboard = [{"TEXT": "Off", "LINK": "/x/", "DISABLED": "Y"}, {"TEXT": "Phone", "LINK": "/y/", "CONTEXT": "MOBILE"}]
    params = {"DIALOG_ID": "chat2935", "MESSAGE": "see", "ATTACH": attach, "KEYBOARD": keyboard}
    box = page.locator(f'[data-message-id="{call.result("im.message.add", params)}"]')
    row = box.locator(".grid.ROW")
    expect(row.locator(".value").first).to_have_css("color", "rgb(232, 87, 79)")
    name, value = row.locator(".name").first.bounding_box(), row.locator(".value").first.bounding_box()
    assert (name["y"], name["x"] < value["x"]) == (value["y"], True)
    alone = row.locator(".alone").bounding_box()
    assert alone["x"] == name["x"]
    assert alone["height"] > 1.8 * name["height"]
    expect(row.locator("a")).to_have_attribute("href", "/online/?IM_DIALOG=3")
    left, right = (one.bounding_box() for one in box.locator(".grid.LINE > div").all())
    assert (left["width"], left["y"], left["x"] < right["x"]) == (90, right["y"], True)
    expect(box.locator(".user a")).to_have_attribute("href", "/online/?IM_DIALOG=2")
    expect(box.locator("small")).to_have_text("1.4 MB")
    expect(box.locator("[href='https://example.com/i.png']")).to_have_text("elsewhere")
    assert box.locator("hr").bounding_box()["width"] == 120
    expect(box.locator(".keyboard > *")).to_have_text(["Off"])
    expect(box.locator(".keyboard button")).to_be_disabled()


def test_formatting(show, call):
    page = show()
    text = (
        "[b]bold[/b] [i]it[/i] [u]un[/u] [s]st[/s] [size=99]big[/size] [color=#ff0000]red[/color][br]"
        "[url=https://example.com/?a=1&b=2]link[/url] [url]https://example.com/x[/url] [user=3]Clara[/user]\n"
        ">>quote\n[code][b]not bold[/b][/code]"
    )
    attach = {
        "BLOCKS": [
            {"MESSAGE": "[i]in the box[/i]"},
            {"GRID": [{"DISPLAY": "ROW", "NAME": "Won", "VALUE": "[b]5[/b]"}]},
            {"LINK": {"NAME": "deal", "LINK": "/crm/deal/details/1/"}},
            {"DELIMITER": {}},
        ]
    }
    keyboard = [{"TEXT": "Open", "LINK": "https://example.com/go"}, {"TEXT": "Approve", "COMMAND": "ok"}]
    message = call.result(
        "im.message.add", {"DIALOG_ID": "chat2935", "MESSAGE": text, "ATTACH": attach, "KEYBOARD": keyboard}
    )
    box = page.locator(f'[data-message-id="{message}"]')
    for selector, words in (
        ("b >> nth=0", "bold"), (".text >> nth=0 >> i", "it"), ("u", "un"), ("s", "st"), ("blockquote", "quote"),
        ("code", "[b]not bold[/b]"), (".mention", "Clara"), (".attach i", "in the box"), (".grid .name", "Won"),
        (".grid b", "5"), ('[href="/crm/deal/details/1/"]', "deal"), ('[href="https://example.com/go"]', "Open"),
        ('[href="https://example.com/?a=1&b=2"]', "link"), ('[href="https://example.com/x"]', "https://example.com/x"),
        (".keyboard button", "Approve"),
    ):  # fmt: skip
        expect(box.locator(selector)).to_have_text(words)
    assert box.locator("span[style='font-size:30px']").count() == 1
    assert box.locator("span[style='color:#ff0000']").count() == 1
    assert box.locator(".attach hr").count() == 1


LOG = (
    ">>> report()  # a console\n"
    "[2026-01-01 12:00:00] [b]ERROR[/b] [user=all]wake up[/user] [send=/drop all]retry[/send] [put=/x]y[/put]\n"
    "[code]x[/code] [url=https://evil.example]invoice[/url] [img size=small]https://evil.example/i.png [/img]\n"
    "[br]>>quoted [call=+7999]1[/call] [chat=1]c[/chat] [context=chat1/2]m[/context] [disk=7] [timestamp=1 format=x]\n"
    "------\nAnna [12:00]\nsigned\n------\n"
    "rows[0], {'a': [1, 2]} <b>not bold</b> &#91;b&#93;"
)
MEANINGS = "b, i, u, s, code, blockquote, .mention, .act, a:text-is('invoice')"


def test_what_is_escaped_is_shown_as_it_stands(show, call):
    page = show()
    shown = {}
    for text in (LOG, escape(LOG)):
        message = call.result("im.message.add", {"DIALOG_ID": "chat2935", "MESSAGE": text})
        box = page.locator(f'[data-message-id="{message}"] .text')
        expect(box).to_contain_text("report()")
        shown[text] = (box.locator(MEANINGS).count(), box.text_content())
    # the page would have read all of it
    assert shown[LOG][0] >= 10
    assert "[user=all]" not in shown[LOG][1]
    assert shown[escape(LOG)][0] == 0
    assert shown[escape(LOG)][1].replace("\u200b", "") == LOG


def test_a_line_break_tag_ends_a_line_like_any_other(show, call):
    page = show()
    message = call.result("im.message.add", {"DIALOG_ID": "chat2935", "MESSAGE": "first[BR]>>second[br]third"})
    box = page.locator(f'[data-message-id="{message}"]')
    expect(box.locator("blockquote")).to_have_text("second")
    expect(box.locator(".text")).to_contain_text("first")


def test_nothing_in_a_message_can_run(show, call, page):
    evil = (
        "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
        "[url=javascript:document.title='pwned']go[/url] [url=https://e.com/\" onclick=\"x]t[/url] "
        "[color=red;background:url(https://e.com)]c[/color] [img size=small]https://e.com/i.png [/img] [b]open"
    )
    show()
    message = call.result("im.message.add", {"DIALOG_ID": "chat2935", "MESSAGE": evil})
    box = page.locator(f'[data-message-id="{message}"]')
    expect(box).to_contain_text("<script>")
    assert box.locator("script, img, [onclick], [onerror], [href^=javascript]").count() == 0
    assert page.title() != "pwned"


def test_files(show, call, portal):
    page = show()
    upload = {"dialogId": "chat2935", "fields": {"name": "r.csv", "content": "YSxi", "message": "see"}}
    result = call.result("im.v2.File.upload", upload)
    link = page.locator(f'[data-message-id="{result["messageId"]}"] a.file')
    expect(link).to_contain_text("r.csv")
    assert requests.get(portal.url + link.get_attribute("href"), timeout=10).content == b"a,b"
    dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
    upload = {"dialogId": "chat2935", "fields": {"name": "dot.png", "content": dot}}
    result = call.result("im.v2.File.upload", upload)
    picture = page.locator(f'[data-message-id="{result["messageId"]}"] a.file img')
    expect(picture).to_be_visible()
    assert picture.evaluate("element => element.decode().then(() => element.naturalWidth)") == 1


def test_the_page_finds_the_portal_again(browser, open_portal):
    first = open_portal()
    page = browser.new_page()
    page.goto(first.url + "/?dialog=chat2935")
    expect(page.locator("#live.on")).to_be_visible()
    first.stop()
    expect(page.locator("#live.on")).to_have_count(0)
    second = open_portal(port=first.port)
    message = second.add_message("chat2935", 3, "back again")
    expect(page.locator(f'[data-message-id="{message}"]')).to_contain_text("back again", timeout=10_000)
    page.close()
