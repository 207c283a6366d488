"""MessageUpdateOperator, MessageDeleteOperator, MessageLikeOperator: at parse time, and against a portal."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_b24.operators.message import (
    MessageAddOperator,
    MessageDeleteOperator,
    MessageLikeOperator,
    MessageUpdateOperator,
)
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.testing import Fault

CHAT = "chat2935"
BUTTON = [{"TEXT": "b", "LINK": "https://example.com/"}]


def update(**arguments: Any) -> MessageUpdateOperator:
    return MessageUpdateOperator(**{"task_id": "update", "message_id": 5, **arguments})


def delete(**arguments: Any) -> MessageDeleteOperator:
    return MessageDeleteOperator(**{"task_id": "delete", "message_id": 5, **arguments})


def like(**arguments: Any) -> MessageLikeOperator:
    return MessageLikeOperator(**{"task_id": "like", "message_id": 5, **arguments})


@pytest.fixture(params=[None, "bot"], ids=["account", "bot"])
def author(request, portal, connect):
    if request.param:
        connect(portal.bot_connection())
    return 101 if request.param else 1


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (update, {"message_id": "first", "message": "x"}, "message_id is 'first'"),
        (update, {}, "nothing is to change"),
        (update, {"message": ""}, "an update with an empty text deletes the message"),
        (update, {"message": "\n "}, "an update with an empty text deletes the message"),
        (update, {"message": "x" * 20_001}, "20,001 characters"),
        (update, {"message": 5}, "message is a int"),
        (update, {"attach": 5}, "attach is a int"),
        (update, {"message": "x", "dialog_id": "y"}, "dialog_id is 'y'"),
        (update, {"message": "x", "menu": [], "as_bot": True}, "a bot's message has no menu"),
        (update, {"attach": [1]}, "attach is a list with a int, and a block is a mapping"),
        (update, {"message": "x", "markdown": "no"}, "markdown is 'no'"),
        (update, {"message": "x", "mentions": "no"}, "mentions is 'no'"),
        (update, {"message": "x", "delete_if_empty": "no"}, "delete_if_empty is 'no'"),
        (update, {"message": "x", "url_preview": "N"}, "url_preview is 'N'. It is True, False or None"),
        (update, {"message": "x", "is_edited": 1}, "is_edited is 1"),
        (update, {"message": "x", "as_bot": "no"}, "as_bot is 'no'"),
        (delete, {"as_bot": "no"}, "as_bot is 'no'"),
        (like, {"as_bot": "no"}, "as_bot is 'no'"),
        (delete, {"message_id": 0}, "message_id is 0"),
        (delete, {"dialog_id": "y"}, "dialog_id is 'y'"),
        (like, {"message_id": None}, "message_id is None"),
        (like, {"action": "love"}, "action is 'love'. It is one of plus, minus, auto."),
        (like, {"reaction": "red heart"}, "reaction is 'red heart'"),
    ],
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(make, arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        make(**arguments)
    assert words in str(caught.value)


def test_templates_and_results_of_tasks_are_checked_when_the_task_runs(dag):
    first: Any = RestOperator(task_id="first", method="profile")
    operator = update(
        message_id=first.output, message="{{ x }}", attach=first.output, keyboard="{{ y }}", menu="{{ z }}"
    )
    assert operator.upstream_task_ids == {"first"}
    update(task_id="second", message="", delete_if_empty=True)
    update(task_id="third", attach="N")
    delete(message_id="{{ x }}", dialog_id="{{ y }}")
    like(message_id=first.output, action="{{ x }}", reaction="{{ y }}")


def rendered_with(operator: Any, **values: Any) -> Any:
    operator.render_template_fields(values)
    return operator


def test_what_is_rendered(dag):
    operator = update(
        message_id="{{ first }}",
        message="{{ sum }}",
        attach=[{"GRID": [{"NAME": "{{ name }}"}]}],
        keyboard={"BUTTONS": [{"TEXT": "{{ name }}"}]},
        menu=["{{ name }}"],
        dialog_id="{{ dialog }}",
        bitrix24_conn_id="{{ conn }}",
    )
    rendered_with(operator, first=9, sum=7, name="Анна", dialog="chat5", conn="other")
    assert (operator.message_id, operator.message) == ("9", "7")
    assert operator.attach == [{"GRID": [{"NAME": "Анна"}]}]
    assert operator.keyboard == {"BUTTONS": [{"TEXT": "Анна"}]}
    assert (operator.menu, operator.dialog_id, operator.bitrix24_conn_id) == (["Анна"], "chat5", "other")


def test_a_message_is_changed_liked_and_deleted(portal, context, author):
    message_id = MessageAddOperator(task_id="add", dialog_id=CHAT, message="first", as_bot=author == 101).execute(
        context
    )
    (message,) = portal.messages(CHAT)
    assert update(message_id=str(message_id), message="second", keyboard=BUTTON).execute(context) == message_id
    assert (message.author_id, message.text, message.params["KEYBOARD"]) == (author, "second", {"BUTTONS": BUTTON})
    for number in range(2):
        assert like(task_id=f"like_{number}", message_id=message_id).execute(context) == message_id
        assert message.reactions == {"like": [author]}
    like(message_id=message_id, action="minus").execute(context)
    assert message.reactions == {"like": []}
    delete(message_id=message_id).execute(context)
    assert message.deleted


def test_markdown_and_people(portal, context, author):
    given: dict[str, Any] = {"markdown": True, "mentions": True, "message": "*for* @anna@example.com"}
    message_id = MessageAddOperator(task_id="add", dialog_id=CHAT, **given).execute(context)
    update(message_id=message_id, **{**given, "message": "**for** @anna@example.com"}).execute(context)
    sent = [call.params for call in portal.calls if call.method.lower().endswith(("message.add", "message.send"))]
    assert "[i]for[/i] [user=1]Anna Petrova[/user]" in str(sent)
    assert portal.messages(CHAT)[0].text == "[b]for[/b] [user=1]Anna Petrova[/user]"


def test_a_deletion_may_be_tried_again(portal, context, author):
    message_id = portal.add_message(CHAT, author, "first")
    operator = delete(message_id=message_id, dialog_id=CHAT)
    operator.execute(context)
    operator.execute(context)
    operator.dialog_id = None
    with pytest.raises(AirflowFailException, match="was deleted, or the time in which it may be edited is over"):
        operator.execute(context)


@pytest.mark.parametrize("rendered", ["", "  ", "None"])
def test_a_text_that_is_rendered_to_nothing_deletes_nothing(portal, context, dag, author, rendered):
    message_id = portal.add_message(CHAT, author, "first")
    operator = update(message_id="{{ first }}", message="{{ text }}")
    rendered_with(operator, first=message_id, text=rendered)
    if rendered == "None":
        operator.message = None
    with pytest.raises(AirflowFailException, match=r"deletes the message|nothing is to change"):
        operator.execute(context)
    assert portal.calls == []
    operator.message, operator.delete_if_empty = "", True
    operator.execute(context)
    assert portal.messages(CHAT)[0].deleted


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (update, {"message_id": "None", "message": "x"}, "message_id is 'None'"),
        (update, {"message": "x" * 20_001}, "20,001 characters"),
        (delete, {"message_id": "None"}, "message_id is 'None'"),
        (like, {"action": "None"}, "action is 'None'"),
        (like, {"reaction": "fire"}, "Only a bot has others"),
    ],
)
def test_what_templates_render_to_is_checked_before_it_is_sent(portal, context, make, arguments, words):
    operator = make(**{name: f"{{{{ {name} }}}}" for name in arguments})
    rendered_with(operator, **arguments)
    with pytest.raises(AirflowFailException, match=words):
        operator.execute(context)
    assert portal.calls == []


def test_the_time_for_editing_is_over(portal, context):
    message_id = portal.add_message(CHAT, 1, "first")
    portal.faults.add(Fault("error", "im.message.update", code="CANT_EDIT_MESSAGE", status=403))
    with pytest.raises(AirflowFailException, match="CANT_EDIT_MESSAGE"):
        update(message_id=message_id, message="second").execute(context)
