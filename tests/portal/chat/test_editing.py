"""Messages that are changed, deleted and reacted to: as the account and as the bot, whatever becomes of an answer."""

from __future__ import annotations

import pytest

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    Bitrix24Error,
    ConfigurationError,
    NotEditableError,
    OutcomeUnknownError,
)
from airflow_provider_b24.testing import Fault
from tests.portal.hook.faces import AsyncFace, SyncFace
from tests.unit.rest.clocks import FakeClock

CHAT = "chat2935"
BOT = 101
ATTACH = [{"MESSAGE": "a"}]
BUTTON = [{"TEXT": "b", "LINK": "https://example.com/"}]
LOST = ["reset_after", "json_500"]


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "async"])
def patient(request, portal):
    """A hook whose pauses take no time."""
    made = request.param(Bitrix24Hook(clock=FakeClock()))
    yield made
    made.close()


def posted(portal, author=1, text="first"):
    """A message of the account, or of the bot."""
    return portal.add_message(CHAT, author, text)


def found(portal, message_id):
    return next(message for message in portal.messages(CHAT) if message.id == message_id)


def methods(portal):
    return [call.method for call in portal.calls]


@pytest.fixture(params=[False, True], ids=["account", "bot"])
def as_bot(request, portal, connect):
    if request.param:
        connect(portal.bot_connection())
    return request.param


class TestUpdate:
    def test_the_text(self, face, portal, as_bot):
        message_id = posted(portal, BOT if as_bot else 1)
        # The bot edits where the connection has one.
        face.update_message(str(message_id), "[B]second[/B]")
        message = found(portal, message_id)
        assert (message.text, message.edited) == ("[B]second[/B]", True)
        assert methods(portal) == ["imbot.v2.Chat.Message.update" if as_bot else "im.message.update"]

    def test_what_is_not_given_stays(self, face, portal, as_bot):
        message_id = face.send_message(CHAT, "first", attach=ATTACH, keyboard=BUTTON, as_bot=as_bot)
        face.update_message(message_id, "second")
        face.update_message(message_id, attach=[{"MESSAGE": "other"}])
        message = found(portal, message_id)
        assert message.text == "second"
        assert message.params["ATTACH"] == [{"MESSAGE": "other"}]
        assert message.params["KEYBOARD"] == {"BUTTONS": BUTTON}

    @pytest.mark.parametrize("nothing", ["N", "", [], {}], ids=repr)
    def test_an_attachment_and_buttons_are_taken_away(self, face, portal, as_bot, nothing):
        message_id = face.send_message(CHAT, "first", attach=ATTACH, keyboard=BUTTON, as_bot=as_bot)
        face.update_message(message_id, attach=nothing, keyboard=nothing)
        message = found(portal, message_id)
        assert message.text == "first"
        assert not {"ATTACH", "KEYBOARD"} & message.params.keys()

    def test_every_parameter_as_the_account(self, face, portal):
        message_id = posted(portal)
        menu = [{"TEXT": "More", "LINK": "https://example.com/"}]
        face.update_message(
            message_id, "text", attach=ATTACH, keyboard=BUTTON, menu=menu, url_preview=False, is_edited=False
        )
        assert portal.calls[-1].params == {
            "MESSAGE_ID": message_id,
            "MESSAGE": "text",
            "ATTACH": ATTACH,
            "KEYBOARD": BUTTON,
            "MENU": menu,
            "URL_PREVIEW": "N",
            "IS_EDITED": "N",
        }

    def test_every_parameter_as_the_bot(self, face, portal, connect):
        connect(portal.bot_connection())
        message_id = posted(portal, BOT)
        face.update_message(message_id, "text", attach=ATTACH, keyboard=BUTTON, url_preview=True)
        assert portal.calls[-1].params == {
            "botId": BOT,
            "botToken": portal.bot_token,
            "messageId": message_id,
            "fields": {"message": "text", "attach": ATTACH, "keyboard": BUTTON, "urlPreview": "Y"},
        }

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"message": ""}, "an update with an empty text deletes the message"),
            ({"message": " \n\t "}, "an update with an empty text deletes the message"),
            ({"message": "", "attach": ATTACH}, "an update with an empty text deletes the message"),
            ({"message": "x" * 20_001}, "20,001 characters.*can not become a file"),
            ({"message": 5}, "message is a int"),
            ({}, "nothing is to change"),
            ({"is_edited": False}, "nothing is to change"),
            ({"attach": 5}, "attach is a int"),
            ({"message_id": "x", "message": "text"}, "message_id is 'x'"),
        ],
        ids=lambda value: None if isinstance(value, str) else ",".join(value),
    )
    def test_what_can_not_be_right_is_not_sent(self, face, portal, changes, words):
        with pytest.raises(ConfigurationError, match=words):
            face.update_message(**{"message_id": posted(portal), **changes})
        assert portal.calls == []

    @pytest.mark.parametrize("changes", [{"menu": []}, {"is_edited": False}], ids=["menu", "is_edited"])
    def test_what_a_bots_message_has_not(self, face, portal, connect, changes):
        connect(portal.bot_connection())
        with pytest.raises(ConfigurationError, match="a bot's message has no"):
            face.update_message(posted(portal, BOT), "text", as_bot=True, **changes)
        assert portal.calls == []

    def test_a_message_with_a_menu_is_the_accounts(self, face, portal, connect):
        connect(portal.bot_connection())
        face.update_message(posted(portal), menu="N")
        assert methods(portal) == ["im.message.update"]

    def test_an_empty_text_deletes_only_where_that_is_said(self, face, portal, as_bot):
        message_id = posted(portal, BOT if as_bot else 1)
        face.update_message(message_id, " ", delete_if_empty=True)
        assert found(portal, message_id).deleted
        assert methods(portal) == ["imbot.v2.Chat.Message.delete" if as_bot else "im.message.delete"]
        with pytest.raises(NotEditableError):
            face.update_message(message_id, "text", delete_if_empty=True)

    @pytest.mark.parametrize("kind", LOST)
    def test_it_is_sent_again_where_the_answer_is_lost(self, patient, portal, as_bot, kind):
        message_id = posted(portal, BOT if as_bot else 1)
        method = "imbot.v2.Chat.Message.update" if as_bot else "im.message.update"
        portal.faults.add(Fault(kind, method, after_effect=True, times=2))
        patient.update_message(message_id, "second")
        assert found(portal, message_id).text == "second"
        assert methods(portal).count(method) == 3

    def test_the_time_for_editing_is_over(self, face, portal):
        message_id = posted(portal)
        portal.company.edit_window = -1.0
        try:
            with pytest.raises(NotEditableError, match="post a new one") as caught:
                face.update_message(message_id, "second")
        finally:
            portal.company.edit_window = None
        assert (caught.value.code, caught.value.permanent) == ("CANT_EDIT_MESSAGE", True)
        assert isinstance(caught.value, AccessDeniedError)

    def test_a_message_of_somebody_else(self, face, portal, as_bot):
        with pytest.raises(NotEditableError):
            face.update_message(posted(portal, 2), "second")


class TestDelete:
    def test_a_message(self, face, portal, as_bot):
        message_id = posted(portal, BOT if as_bot else 1)
        face.delete_message(message_id)
        assert found(portal, message_id).deleted
        assert methods(portal) == ["imbot.v2.Chat.Message.delete" if as_bot else "im.message.delete"]

    @pytest.mark.parametrize("kind", LOST)
    def test_with_its_dialog_a_lost_answer_is_settled(self, patient, portal, as_bot, kind):
        message_id = posted(portal, BOT if as_bot else 1)
        method = "imbot.v2.Chat.Message.delete" if as_bot else "im.message.delete"
        portal.faults.add(Fault(kind, method, after_effect=True))
        patient.delete_message(message_id, dialog_id=CHAT)
        assert found(portal, message_id).deleted
        assert methods(portal) == [method, method, "im.dialog.messages.get"]

    def test_without_its_dialog_a_lost_answer_is_unknown(self, patient, portal):
        message_id = posted(portal)
        portal.faults.add(Fault("reset_after", "im.message.delete"))
        with pytest.raises(OutcomeUnknownError, match=r"may have been deleted.*with dialog_id that is done") as caught:
            patient.delete_message(message_id)
        assert caught.value.permanent

    def test_no_answer_at_all_may_be_tried_again(self, patient, portal):
        message_id = posted(portal)
        portal.faults.add(Fault("json_500", "im.message.delete", times=None))
        with pytest.raises(OutcomeUnknownError, match="twice is as good as once") as caught:
            patient.delete_message(message_id)
        assert not caught.value.permanent
        assert methods(portal).count("im.message.delete") == 4

    @pytest.mark.parametrize("reference", [CHAT, "deal:1663"])
    def test_gone_already(self, face, portal, reference):
        dialog_id = {"deal:1663": "chat2939"}.get(reference, reference)
        message_id = portal.add_message(dialog_id, 1, "first")
        for number in range(60):
            portal.add_message(dialog_id, 2, f"later {number}")
        face.delete_message(message_id, dialog_id=reference)
        face.delete_message(message_id, dialog_id=reference)
        with pytest.raises(NotEditableError):
            face.delete_message(message_id)

    def test_removed_without_a_trace(self, face, portal):
        message_id = posted(portal)
        posted(portal, 2, "later")
        chat = portal.chat(CHAT)
        chat.messages.remove(chat.find(message_id))
        face.delete_message(message_id, dialog_id=CHAT)

    def test_there_but_somebody_elses(self, face, portal, as_bot):
        message_id = posted(portal, 2)
        portal.company.edit_window = -1.0
        try:
            with pytest.raises(NotEditableError):
                face.delete_message(message_id, dialog_id=CHAT)
        finally:
            portal.company.edit_window = None
        assert not found(portal, message_id).deleted

    def test_far_back_but_there(self, face, portal):
        message_id = posted(portal)
        for number in range(120):
            posted(portal, 2, f"later {number}")
        portal.faults.add(Fault("error", "im.message.delete", code="CANT_EDIT_MESSAGE", status=403))
        with pytest.raises(NotEditableError):
            face.delete_message(message_id, dialog_id=CHAT)
        assert methods(portal).count("im.dialog.messages.get") == 3

    def test_a_dialog_that_changes_while_it_is_read_tells_nothing(self, face, portal):
        message_id = posted(portal)
        for number in range(60):
            posted(portal, 2, f"later {number}")
        chat = portal.chat(CHAT)
        portal.faults.add(Fault("error", "im.message.delete", code="CANT_EDIT_MESSAGE", status=403))
        # The messages at the border of the first page are removed after it was read.
        portal.on_call = lambda call: call.method.endswith("messages.get") and chat.messages.__delitem__(slice(5, 20))
        with pytest.raises(NotEditableError):
            face.delete_message(message_id, dialog_id=CHAT)
        assert not found(portal, message_id).deleted

    def test_a_bots_private_talk_is_not_taken_for_the_accounts(self, face, portal, connect):
        connect(portal.bot_connection())
        with pytest.raises(NotEditableError):
            face.delete_message(84_000, dialog_id="4")
        assert methods(portal) == ["imbot.v2.Chat.Message.delete"]

    def test_a_dialog_that_can_not_be_read_tells_nothing(self, face, portal):
        with pytest.raises(NotEditableError):
            face.delete_message(84_000, dialog_id="chat2936")


class TestLike:
    def test_put_and_taken_away(self, face, portal, as_bot):
        message_id, author = posted(portal, 2), BOT if as_bot else 1
        face.like_message(message_id)
        face.like_message(message_id, "plus")
        assert found(portal, message_id).reactions["like"] == [author]
        face.like_message(message_id, "minus")
        face.like_message(message_id, "minus")
        assert found(portal, message_id).reactions["like"] == []

    def test_switched_over(self, face, portal):
        message_id = posted(portal, 2)
        face.like_message(message_id, "auto")
        assert found(portal, message_id).reactions["like"] == [1]
        face.like_message(message_id, "auto")
        assert found(portal, message_id).reactions["like"] == []

    def test_another_reaction_of_the_bot(self, face, portal, connect):
        connect(portal.bot_connection())
        message_id = posted(portal, 2)
        face.like_message(message_id, reaction="whiteHeavyCheckMark")
        assert found(portal, message_id).reactions == {"whiteHeavyCheckMark": [BOT]}
        with pytest.raises(Bitrix24Error, match="REACTION_NOT_FOUND"):
            face.like_message(message_id, reaction="applause")

    def test_the_bot_is_no_member(self, face, portal, connect):
        connect(portal.bot_connection())
        with pytest.raises(AccessDeniedError) as caught:
            face.like_message(portal.add_message("chat2936", 4, "text"))
        assert not isinstance(caught.value, NotEditableError)

    @pytest.mark.parametrize("kind", LOST)
    @pytest.mark.parametrize("action", ["plus", "minus"])
    def test_it_is_sent_again_where_the_answer_is_lost(self, patient, portal, as_bot, kind, action):
        message_id, author = posted(portal, 2), BOT if as_bot else 1
        verb = "add" if action == "plus" else "delete"
        method = f"imbot.v2.Chat.Message.Reaction.{verb}" if as_bot else "im.message.like"
        if action == "minus":
            patient.like_message(message_id)
        portal.faults.add(Fault(kind, method, after_effect=True))
        patient.like_message(message_id, action)
        assert found(portal, message_id).reactions["like"] == ([author] if action == "plus" else [])

    def test_what_switches_over_is_never_sent_twice(self, patient, portal):
        message_id = posted(portal, 2)
        portal.faults.add(Fault("reset_after", "im.message.like"))
        with pytest.raises(OutcomeUnknownError, match="was not sent again") as caught:
            patient.like_message(message_id, "auto")
        assert caught.value.permanent
        assert methods(portal) == ["im.message.like"]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"action": "love"}, "action is 'love'. It is one of plus, minus, auto"),
            ({"reaction": "fire"}, "reaction is 'fire'. Only a bot has others"),
            ({"reaction": "a b"}, "reaction is 'a b'. It is a code"),
            ({"message_id": 0}, "message_id is 0"),
        ],
        ids=["action", "reaction", "no code", "id"],
    )
    def test_what_can_not_be_right_is_not_sent(self, face, portal, arguments, words):
        with pytest.raises(ConfigurationError, match=words):
            face.like_message(**{"message_id": posted(portal, 2), **arguments})
        assert portal.calls == []

    def test_a_bot_does_not_switch_over(self, face, portal, connect):
        connect(portal.bot_connection())
        with pytest.raises(ConfigurationError, match=r"action is 'auto'\. A bot adds"):
            face.like_message(posted(portal, 2), "auto")
        # The account does.
        face.like_message(portal.messages(CHAT)[0].id, "auto", as_bot=False)
