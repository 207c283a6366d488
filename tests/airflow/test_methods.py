"""Operators of one method each."""

from __future__ import annotations

import pytest

from tests.airflow.stage import BOT, OWNER, Scene, Stage

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("long_runs")]


@pytest.fixture(scope="module")
def messages(stage: Stage) -> Scene:
    dialog = stage.portal.add_chat("Stock", members=(OWNER, BOT, 3))
    foreign = stage.portal.add_message(dialog, 3, "How much is left?")
    return stage.play("messages", dialog=dialog, foreign=foreign)


@pytest.fixture(scope="module")
def any_method(messages: Scene, stage: Stage) -> Scene:
    return stage.play("any_method")


def test_messages_are_added(messages: Scene) -> None:
    assert messages.run.wait() == "success"
    _, added, answer = messages.portal.messages(messages.dialog)

    assert added.text == "Stock of messages"
    assert added.params["ATTACH"] == [{"GRID": [{"NAME": "Run", "VALUE": "manual", "DISPLAY": "LINE"}]}]
    assert added.params["KEYBOARD"] == {"BUTTONS": [{"TEXT": "Open", "LINK": "https://example.com/stock"}]}
    assert added.params["URL_PREVIEW"] == "N"
    assert messages.run.xcom("add") == added.id
    assert (answer.text, answer.params["REPLY_ID"]) == ("Seen", added.id)


def test_a_dialog_is_marked_unread_and_read(messages: Scene) -> None:
    messages.run.wait()
    posted = messages.portal.messages(messages.dialog)
    chat = messages.portal.chat(messages.dialog)

    calls = [call.method for call in messages.portal.requests if f"'{messages.dialog}'" in str(call.params)]
    posting = ["im.dialog.messages.get", "im.message.add"]
    assert calls == [*posting, *posting, "im.dialog.unread", "im.dialog.read"]
    assert messages.run.xcom("unread") is True
    assert messages.run.xcom("read") == {
        "dialogId": messages.dialog,
        "chatId": chat.id,
        "lastId": posted[-1].id,
        "counter": 0,
    }


def test_any_result_goes_to_xcom(any_method: Scene) -> None:
    any_method.run.wait()
    deal = any_method.run.xcom("deal")
    assert (deal["item"]["id"], deal["item"]["entityTypeId"]) == (1, 2)


def test_a_file_is_posted(any_method: Scene) -> None:
    any_method.run.wait()
    (message,) = any_method.portal.messages(any_method.dialog)
    (card,) = message.files
    assert (message.text, card["name"]) == ("This DAG", "any_method.py")
    assert b'DAG("any_method"' in any_method.portal.company.files[card["id"]].content
    assert any_method.run.xcom("file") == message.id
    assert any_method.run.xcom("file", key="file_id") == card["id"]


def test_parameters_are_mapped(any_method: Scene) -> None:
    any_method.run.wait()
    assert [part.state for part in any_method.run.tasks("deals")] == ["success"] * 3
    assert [any_method.run.xcom("deals", index)["item"]["id"] for index in range(3)] == [1, 2, 3]


def test_a_large_result_is_refused_with_advice(any_method: Scene) -> None:
    any_method.run.wait()
    assert any_method.run.task("too_large").state == "failed"
    assert len(any_method.run.tries("too_large")) == 1
    assert not any_method.run.has_xcom("too_large")
    log = any_method.run.log("too_large")
    assert "and max_result_bytes is 500" in log
    assert "read it with hook.iterate" in log


def test_what_is_not_there_fails_at_once(any_method: Scene) -> None:
    any_method.run.wait()
    assert any_method.run.task("missing").state == "failed"
    assert len(any_method.run.tries("missing")) == 1


def test_calls_are_counted_in_airflows_metrics(messages: Scene, stage: Stage) -> None:
    messages.run.wait()
    # of a task
    assert stage.metrics.count("bitrix24.calls") > 0, stage.metrics.names()
    assert stage.metrics.count("bitrix24.calls.127__0__0__1.im__message__add.success") >= 2, stage.metrics.names()
    # of the triggerer
    assert stage.metrics.count("bitrix24.calls.127__0__0__1.im__dialog__writing.success") > 0, stage.metrics.names()
