"""Texts that are too long for one message, by both halves of a hook: as a file, or as several messages."""

from __future__ import annotations

import pytest

from airflow_provider_b24.chat.delivery import Memory
from airflow_provider_b24.chat.long_text import BEGINNING
from airflow_provider_b24.chat.message import LONGEST_TEXT
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.errors import ConfigurationError, RequestRefusedError
from airflow_provider_b24.testing import Fault
from tests.portal.hook.faces import AsyncFace, SyncFace
from tests.unit.rest.clocks import FakeClock

CHAT = "chat2935"
PARAGRAPH = "[b]Абзац {}[/b] " + "много слов " * 200
LONG = "\n\n".join(PARAGRAPH.format(number) for number in range(20))
BUTTON = [{"TEXT": "b", "LINK": "https://example.com/"}]


def content(portal, message):
    (card,) = message.files
    return card["name"], portal.company.files[card["id"]].content


def words(text):
    return "".join(text.split())


@pytest.fixture(params=[False, True], ids=["account", "bot"])
def as_bot(request, portal, connect):
    if request.param:
        connect(portal.bot_connection())
    return request.param


def test_by_default_the_whole_is_a_file_and_its_beginning_the_message(face, portal, as_bot):
    message_id = face.send_message(CHAT, LONG)
    (message,) = portal.messages(CHAT)
    assert (message.id, message.author_id) == (message_id, 101 if as_bot else 1)
    assert content(portal, message) == ("message.txt", b"\xef\xbb\xbf" + LONG.encode())
    assert message.text.startswith("[b]Абзац 0[/b] много слов")
    assert message.text.endswith("…")
    assert 1000 < len(message.text) <= BEGINNING


@pytest.mark.parametrize(
    ("more", "as_sent"),
    [
        ({"keyboard": BUTTON}, {"KEYBOARD": BUTTON}),
        ({"attach": [{"MESSAGE": "a"}]}, {"ATTACH": [{"MESSAGE": "a"}]}),
        ({"url_preview": False}, {"URL_PREVIEW": "N"}),
        ({"system": True}, {"SYSTEM": "Y"}),
        ({"reply_id": 0}, {}),
    ],
    ids=lambda value: next(iter(value), ""),
)
def test_what_a_message_with_a_file_can_not_have_is_on_a_message_before_it(face, portal, more, as_sent):
    first = portal.add_message(CHAT, 2, "question")
    if "reply_id" in more:
        more, as_sent = {"reply_id": first}, {"REPLY_ID": first}
    message_id = face.send_message(CHAT, LONG, **more)
    _, beginning, file = portal.messages(CHAT)
    assert (beginning.id, beginning.files) == (message_id, [])
    sent = next(call.params for call in portal.calls if call.method == "im.message.add")
    assert as_sent.items() <= sent.items()
    assert beginning.text.endswith("…")
    assert (file.text, content(portal, file)[1].decode("utf-8-sig")) == ("", LONG)


def test_several_messages(face, portal, as_bot):
    question = portal.add_message(CHAT, 2, "question")
    first = face.send_message(CHAT, LONG, long_text="split", keyboard=BUTTON, reply_id=question)
    _, *parts = portal.messages(CHAT)
    assert (len(parts), parts[0].id) == (3, first)
    assert all(len(part.text) <= LONGEST_TEXT and part.text.startswith("[b]Абзац") for part in parts)
    assert words("".join(part.text for part in parts)) == words(LONG)
    assert ["REPLY_ID" in part.params or "replyId" in part.params for part in parts] == [True, False, False]
    assert ["KEYBOARD" in part.params for part in parts] == [False, False, True]


def test_refused(face, portal):
    with pytest.raises(ConfigurationError, match=r"has 45,\d{3} characters.*have long_text make a file of it"):
        face.send_message(CHAT, "x" * 45_123, long_text="refuse")
    assert portal.calls == []


@pytest.mark.parametrize("long_text", ["file", "split", "refuse"])
def test_the_longest_text_is_one_message(face, portal, long_text):
    face.send_message(CHAT, "📊" * LONGEST_TEXT, long_text=long_text)
    (message,) = portal.messages(CHAT)
    assert (message.text, message.files) == ("📊" * LONGEST_TEXT, [])


@pytest.mark.parametrize("make_face", [SyncFace, AsyncFace], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("given", "method", "messages"),
    [
        ({}, "im.v2.File.upload", 1),
        ({"keyboard": BUTTON}, "im.message.add", 2),
        ({"keyboard": BUTTON}, "im.v2.File.upload", 2),
        ({"long_text": "split"}, "im.message.add", 3),
    ],
    ids=["file", "message before the file", "file after the message", "split"],
)
def test_a_lost_answer_is_looked_for(portal, make_face, given, method, messages):
    face = make_face(Bitrix24Hook(clock=FakeClock()))
    portal.faults.add(Fault("reset_after", method))
    message_id = face.send_message(CHAT, LONG, **given)
    face.close()
    posted = portal.messages(CHAT)
    assert (len(posted), posted[0].id) == (messages, message_id)
    assert [call.method for call in portal.calls].count(method) == (3 if "long_text" in given else 1)


def test_markdown(face, portal, as_bot):
    message_id = face.send_message(CHAT, "# Revenue\n\n**8** weeks [b]", markdown=True)
    face.update_message(message_id, "**9** weeks", markdown=True)
    (message,) = portal.messages(CHAT)
    method = "imbot.v2.Chat.Message.send" if as_bot else "im.message.add"
    sent = next(call.params for call in portal.calls if call.method == method)
    text = sent["fields"]["message"] if as_bot else sent["MESSAGE"]
    assert "Revenue[/b]" in text
    assert "[b]8[/b] weeks [\u200bb]" in text
    assert message.text == "[b]9[/b] weeks"


ANNA = "[user=1]Anna Petrova[/user]"


def test_people_are_mentioned(face, portal, as_bot):
    message_id = face.send_message(CHAT, "Ask @anna@example.com", mentions=True)
    (message,) = portal.messages(CHAT)
    assert message.text == f"Ask {ANNA}"
    face.update_message(message_id, "**Ask** @anna@example.com", mentions=True, markdown=True)
    assert message.text == f"[b]Ask[/b] {ANNA}"
    face.update_message(message_id, "Ask @anna@example.com")
    assert message.text == "Ask @anna@example.com"


def test_mentions_count_and_a_file_has_the_text_as_it_was_given(face, portal):
    source = "@anna@example.com " * 1000
    assert len(source) < LONGEST_TEXT
    with pytest.raises(ConfigurationError, match="characters"):
        face.send_message(CHAT, source, mentions=True, long_text="refuse")
    with pytest.raises(ConfigurationError, match="can not become a file"):
        face.update_message(portal.add_message(CHAT, 1, "x"), source, mentions=True)
    face.send_message(CHAT, source, mentions=True)
    _, message = portal.messages(CHAT)
    assert message.text.startswith(f"{ANNA} {ANNA}")
    assert content(portal, message)[1].decode("utf-8-sig") == source


def test_what_was_posted_needs_no_people_any_more(portal):
    hook, memory = Bitrix24Hook(), Memory()
    first = hook.post_once(memory, CHAT, message="Ask @anna@example.com", mentions=True)
    seen = len(portal.calls)
    assert hook.post_once(memory, CHAT, message="Ask @boris@example.com", mentions=True) == first
    assert portal.calls[seen:] == []
    hook.close()


def test_a_file_has_the_markdown_as_it_was_written(face, portal):
    source = "\n\n".join(f"**Absatz {number}** " + "viele Wörter " * 200 for number in range(12))
    face.send_message(CHAT, source, markdown=True)
    (message,) = portal.messages(CHAT)
    assert message.text.startswith("[b]Absatz 0[/b] viele")
    assert content(portal, message)[1].decode("utf-8-sig") == source


def test_what_counts_is_the_length_as_it_is_sent(face, portal):
    source = "# a\n\n" * 900
    assert len(source) < LONGEST_TEXT
    with pytest.raises(ConfigurationError, match="characters"):
        face.send_message(CHAT, source, markdown=True, long_text="refuse")
    face.send_message(CHAT, source, markdown=True)
    assert len(portal.messages(CHAT)[0].files) == 1
    with pytest.raises(ConfigurationError, match="can not become a file"):
        face.update_message(portal.add_message(CHAT, 1, "x"), source, markdown=True)


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "elsewhere"])
def test_an_answer_to_what_can_not_be_answered(face, portal, as_bot, deleted):
    first = portal.add_message(CHAT if deleted else "chat2939", 101 if as_bot else 1, "first")
    if deleted:
        face.delete_message(first)
    with pytest.raises(RequestRefusedError, match="reply_id is of a message") as caught:
        face.send_message(CHAT, "second", reply_id=first)
    assert caught.value.permanent
