"""Messages: posted as they were given, once."""

from __future__ import annotations

import pytest

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    Bitrix24Error,
    ConfigurationError,
    NotFoundError,
)
from airflow_provider_b24.testing import Fault
from tests.portal.hook.faces import AsyncFace, SyncFace
from tests.unit.rest.clocks import FakeClock


def texts(portal, dialog_id="chat2935"):
    return [message.text for message in portal.messages(dialog_id)]


def test_the_id_of_the_message_comes_back(face, portal):
    message_id = face.send_message("chat2935", "Отчёт [B]готов[/B] & <done> 📊")
    (message,) = portal.messages("chat2935")
    assert message_id == message.id
    assert isinstance(message_id, int)
    assert message.text == "Отчёт [B]готов[/B] & <done> 📊"


def test_every_parameter(face, portal):
    first = face.send_message("chat2935", "first")
    attach = [{"MESSAGE": "Revenue"}, {"DELIMITER": {"SIZE": 200, "COLOR": "#c6c6c6"}}]
    keyboard = [{"TEXT": "Open", "LINK": "https://example.com/", "BG_COLOR": "#29619b"}]
    face.send_message(
        "chat2935",
        "second",
        attach=attach,
        keyboard=keyboard,
        menu=[{"TEXT": "More", "LINK": "https://example.com/"}],
        system=True,
        url_preview=False,
        reply_id=first,
    )
    sent = portal.calls[-1].params
    assert sent["ATTACH"] == attach
    assert sent["KEYBOARD"] == keyboard
    assert (sent["SYSTEM"], sent["URL_PREVIEW"], sent["REPLY_ID"]) == ("Y", "N", first)
    assert portal.messages("chat2935")[-1].author_id == 0


def test_to_a_person_and_by_reference(face, portal):
    face.send_message(4, "to Daniel")
    face.send_message("deal:1663", "about the deal")
    face.send_message("user:boris@example.com", "to Boris")
    assert texts(portal, 4) == ["to Daniel"]
    assert texts(portal, "chat2939") == ["about the deal"]
    assert texts(portal, 2) == ["to Boris"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chat2935",), "message is empty"),
        (("chat2935", "   "), "message is empty"),
        (("CHAT5", "text"), "dialog_id is 'CHAT5'"),
        (("deal:1663", ""), "message is empty"),
    ],
)
def test_what_can_not_be_right_is_not_sent(face, portal, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        face.send_message(*arguments)
    assert portal.calls == []


@pytest.mark.parametrize(
    ("dialog_id", "kind", "code"),
    [
        ("chat2936", AccessDeniedError, "ACCESS_ERROR"),
        ("chat9999", Bitrix24Error, "CHAT_ID"),
        ("999", Bitrix24Error, "USER_NOT_FOUND"),
        ("deal:999", NotFoundError, None),
    ],
)
def test_what_the_portal_refuses(face, portal, dialog_id, kind, code):
    with pytest.raises(kind) as caught:
        face.send_message(dialog_id, "text")
    assert caught.value.code == code
    assert caught.value.permanent


@pytest.mark.parametrize("make_face", [SyncFace, AsyncFace])
@pytest.mark.parametrize("kind", ["reset_after", "html_500", "html_502", "truncated_json", "json_500", "html_200"])
@pytest.mark.parametrize(("took_effect", "as_bot"), [(True, False), (True, True), (False, False), (False, True)])
def test_a_lost_answer_is_looked_for(portal, connect, make_face, kind, *, took_effect, as_bot):
    connect(portal.bot_connection(), longest_request=60)
    method = "imbot.v2.Chat.Message.send" if as_bot else "im.message.add"
    portal.faults.add(Fault(kind.replace("_after", ""), method, after_effect=took_effect))
    clock = FakeClock()
    face = make_face(Bitrix24Hook(clock=clock))
    portal.add_message("chat2935", 1, "once & only")
    message_id = face.send_message("chat2935", " once & only\r\n", as_bot=as_bot)
    face.close()
    assert [message.id for message in portal.messages("chat2935")][1:] == [message_id]
    sent = [call.method for call in portal.calls].count(method)
    assert (sent, sum(clock.waits)) == ((1, 0) if took_effect else (2, pytest.approx(90)))


@pytest.mark.parametrize("make_face", [SyncFace, AsyncFace])
def test_refused_before_execution_it_is_posted_later(portal, make_face):
    portal.faults.add(Fault("query_limit", "im.message.add", times=3))
    clock = FakeClock()
    face = make_face(Bitrix24Hook(clock=clock))
    face.send_message("chat2935", "once")
    face.close()
    assert texts(portal) == ["once"]
    assert len(clock.waits) == 3


def test_an_answer_that_is_no_id(face, portal):
    portal.faults.add(Fault("big", "im.message.add", size=2_000_000, after_effect=True))
    message_id = face.send_message("chat2935", "text")
    assert [message.id for message in portal.messages("chat2935")] == [message_id]


def test_an_application_asks_once_who_it_is(portal, connect):
    connect(portal.oauth_connection())
    portal.faults.add(Fault("reset_after", "im.message.add", times=2))
    with Bitrix24Hook() as hook:
        ids = [hook.send_message("chat2935", "text") for _ in range(2)]
    assert [message.id for message in portal.messages("chat2935")] == ids
    assert [call.method for call in portal.calls].count("profile") == 1


def test_a_name_for_a_message_where_no_task_runs(face, portal):
    with pytest.raises(ConfigurationError, match="once is 'summary', and no task is running here"):
        face.send_message("chat2935", "text", once="summary")
    assert portal.calls == []
