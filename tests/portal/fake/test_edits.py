"""What is changed on a message after it was posted, as the vendor's pages say."""

from __future__ import annotations

import pytest

from airflow_provider_b24.testing import FakePortal
from tests.portal.fake.conftest import Caller, Clock

CHAT = "chat2935"
BOT = 101


@pytest.fixture
def bot(call, portal):
    """Calls as the bot."""
    speaker = {"botId": BOT, "botToken": portal.bot_token}
    return lambda method, **params: call(f"imbot.v2.Chat.Message.{method}", speaker | params)


@pytest.fixture
def refusal(bot):
    def refused(method, **params):
        status, answer = bot(method, **params)
        return status, answer["error"]

    return refused


def test_a_like_of_the_caller(call, portal):
    message_id = portal.add_message(CHAT, 2, "text")
    (message,) = portal.messages(CHAT)
    plus, minus = ({"MESSAGE_ID": message_id, "ACTION": action} for action in ("plus", "minus"))
    assert call.refusal("im.message.like", minus) == (400, "WITHOUT_CHANGES")
    assert call.result("im.message.like", plus) is True
    assert call.refusal("im.message.like", plus) == (400, "WITHOUT_CHANGES")
    read = call.result("im.dialog.messages.get", {"DIALOG_ID": CHAT})
    assert read["messages"][0]["params"] == {"LIKE": [1]}
    # Switched over, by default.
    assert call.result("im.message.like", {"MESSAGE_ID": message_id}) is True
    assert message.reactions == {"like": []}
    assert call.result("im.message.like", {"MESSAGE_ID": message_id, "ACTION": "auto"}) is True
    assert message.reactions == {"like": [1]}
    assert call.refusal("im.message.like", {"ACTION": "plus"}) == (400, "MESSAGE_ID_ERROR")
    assert call.refusal("im.message.like", {"MESSAGE_ID": 5}) == (400, "WITHOUT_CHANGES")


def test_what_the_bot_changes(bot, refusal, portal):
    mine, theirs = portal.add_message(CHAT, BOT, "old"), portal.add_message(CHAT, 1, "old")
    button = [{"TEXT": "b", "LINK": "https://example.com/"}]
    assert bot("update", messageId=mine, fields={"message": " new ", "keyboard": button})[1]["result"] == {
        "result": True
    }
    message = portal.messages(CHAT)[0]
    assert (message.text, message.edited, message.params) == ("new", True, {"KEYBOARD": {"BUTTONS": button}})
    bot("update", messageId=mine, fields={"keyboard": "N"})
    assert (message.text, message.params) == ("new", {})
    bot("update", messageId=mine, fields={"message": "x" * 20_001})
    assert message.text.endswith("x (...)")
    assert refusal("update", messageId=theirs, fields={"message": "x"}) == (403, "ACCESS_DENIED")
    assert refusal("update", messageId=5, fields={"message": "x"}) == (403, "ACCESS_DENIED")
    assert refusal("delete", messageId=theirs) == (403, "ACCESS_DENIED")
    assert bot("delete", messageId=mine)[0] == 200
    assert message.deleted
    assert refusal("delete", messageId=mine) == (403, "ACCESS_DENIED")


def test_a_bot_leaves_no_trace(bot, portal):
    bot("delete", messageId=portal.add_message(CHAT, BOT, "old"), complete=True)
    assert portal.messages(CHAT) == []


def test_a_system_message_is_not_the_bots(bot, refusal, portal):
    posted = bot("send", dialogId=CHAT, fields={"message": "text", "system": True})[1]["result"]["id"]
    assert refusal("update", messageId=posted, fields={"message": "x"}) == (403, "ACCESS_DENIED")
    assert refusal("delete", messageId=posted) == (403, "ACCESS_DENIED")


def test_reactions_of_the_bot(bot, refusal, portal):
    message_id, hidden = portal.add_message(CHAT, 2, "text"), portal.add_message("chat2936", 4, "text")
    (message,) = portal.messages(CHAT)
    assert bot("Reaction.add", messageId=message_id, reaction="fire")[1]["result"] == {"result": True}
    assert refusal("Reaction.add", messageId=message_id, reaction="fire") == (400, "REACTION_ALREADY_SET")
    assert refusal("Reaction.add", messageId=message_id, reaction="water") == (400, "REACTION_NOT_FOUND")
    assert refusal("Reaction.delete", messageId=message_id, reaction="water") == (400, "REACTION_NOT_FOUND")
    assert refusal("Reaction.add", messageId=hidden, reaction="fire") == (403, "ACCESS_DENIED")
    assert message.reactions == {"fire": [BOT]}
    assert bot("Reaction.delete", messageId=message_id, reaction="fire")[0] == 200
    assert message.reactions == {"fire": []}


def test_what_the_bot_has_read(bot, refusal, portal):
    first, second = portal.add_message(CHAT, 2, "one"), portal.add_message(CHAT, 3, "two")
    portal.add_message(CHAT, BOT, "own")
    third = portal.add_message(CHAT, 2, "three")
    portal.chat(CHAT).read.pop(BOT)
    assert bot("read", dialogId=CHAT, messageId=first)[1]["result"] == {
        "chatId": 2935,
        "lastId": first,
        "counter": 2,
        "viewedMessages": [first],
    }
    assert bot("read", dialogId=CHAT)[1]["result"]["viewedMessages"] == [second, third]
    assert refusal("read", dialogId=CHAT, messageId=5) == (400, "MESSAGE_NOT_FOUND")
    assert refusal("read", dialogId="chat2936") == (403, "ACCESS_DENIED")


def test_the_time_for_editing():
    clock = Clock()
    with FakePortal(edit_window=600, clock=clock) as portal:
        call = Caller(portal)
        message_id = portal.add_message(CHAT, 1, "text")
        clock.forward(600)
        assert call.result("im.message.update", {"MESSAGE_ID": message_id, "MESSAGE": "new"}) is True
        clock.forward(1)
        for method in ("im.message.update", "im.message.delete"):
            refusal = call.refusal(method, {"MESSAGE_ID": message_id, "MESSAGE": "late"})
            assert refusal == (403, "CANT_EDIT_MESSAGE")
        assert portal.messages(CHAT)[0].text == "new"
