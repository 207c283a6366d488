"""What templates become: rendered by Airflow, once, and posted as it was rendered."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_b24.operators.message import MessageAddOperator, MessageUpdateOperator
from airflow_provider_b24.operators.rest import RestOperator

CHAT = "chat2935"
# A text that another task returned, perhaps a log: it has no business to be a template here.
DANGER = "{{ var.value.password }} {% raw %} {# no comment #}"
BLOCKS = [{"MESSAGE": DANGER}, {"GRID": [{"NAME": "Анна", "VALUE": "5", "DISPLAY": "ROW"}]}]
BUTTONS = {"BUTTONS": [{"TEXT": DANGER, "LINK": "https://example.com/"}]}

PLAIN = [{"TEXT": "b", "LINK": "https://example.com/"}]


@pytest.fixture
def given(context):
    """A context in which another task has returned these things."""
    returned = {"text": DANGER, "blocks": BLOCKS, "buttons": BUTTONS}
    pulled = SimpleNamespace(
        **vars(context["ti"]),
        xcom_pull=lambda *_, key="return_value", **__: returned if key == "return_value" else returned[key],
    )
    return {**context, "ti": pulled, "task_instance": pulled, "pulled": returned}


@pytest.fixture(params=["im.message.add", "imbot.v2.Chat.Message.send"], ids=["account", "bot"])
def posted(request, portal, connect):
    """The message that was posted."""
    if request.param.startswith("imbot"):
        connect(portal.bot_connection())
    return lambda: portal.messages(CHAT)[-1]


def run(operator: Any, context: Any) -> Any:
    """As Airflow does: the fields are rendered, the operator is executed."""
    operator.render_template_fields(context)
    return operator.execute(context)


def test_a_template_is_rendered_once(given, posted, dag):
    run(MessageAddOperator(task_id="add", dialog_id=CHAT, message="{{ pulled.text }}!"), given)
    assert posted().text == DANGER + "!"


def test_what_another_task_returned_is_no_template(given, posted, dag):
    first: Any = RestOperator(task_id="first", method="profile")
    operator = MessageAddOperator(
        task_id="add",
        dialog_id=CHAT,
        message=first.output["text"],
        attach=first.output["blocks"],
        keyboard=first.output["buttons"],
    )
    run(operator, given)
    assert posted().text == DANGER
    assert posted().params["ATTACH"] == BLOCKS
    assert posted().params["KEYBOARD"] == BUTTONS


def test_the_leaves_of_an_attachment_are_templates(given, posted, dag):
    first: Any = RestOperator(task_id="first", method="profile")
    operator = MessageAddOperator(
        task_id="add",
        dialog_id=CHAT,
        attach={"BLOCKS": [{"MESSAGE": "{{ pulled.text }}"}, {"MESSAGE": first.output["text"]}]},
    )
    run(operator, given)
    assert posted().params["ATTACH"] == {"BLOCKS": [{"MESSAGE": DANGER}, {"MESSAGE": DANGER}]}


def test_a_template_makes_json(given, posted, dag):
    operator = MessageAddOperator(
        task_id="add",
        dialog_id=CHAT,
        message="text",
        attach="{{ pulled.blocks | tojson }}",
        keyboard="{{ ti.xcom_pull(key='buttons') | tojson }}",
    )
    run(operator, given)
    assert posted().params["ATTACH"] == BLOCKS
    assert posted().params["KEYBOARD"] == BUTTONS


def test_a_template_that_makes_nothing(given, posted, dag):
    nothing = "{{ '' }}"
    run(MessageAddOperator(task_id="add", dialog_id=CHAT, message="text", attach=nothing, keyboard=nothing), given)
    assert not {"ATTACH", "KEYBOARD"} & posted().params.keys()


def test_a_message_is_changed_by_templates(given, posted, dag):
    message_id = run(MessageAddOperator(task_id="add", dialog_id=CHAT, message="text", keyboard=PLAIN), given)
    operator = MessageUpdateOperator(
        task_id="update",
        message_id="{{ first }}",
        message="{{ pulled.text }}",
        attach="{{ pulled.blocks | tojson }}",
        keyboard="{{ '' }}",
    )
    assert run(operator, {**given, "first": message_id}) == message_id
    assert (posted().text, posted().params["ATTACH"]) == (DANGER, BLOCKS)
    assert "KEYBOARD" not in posted().params


def test_what_is_shown_of_an_attachment_can_be_serialised(dag):
    operator = MessageAddOperator(task_id="add", dialog_id=CHAT, attach=BLOCKS, keyboard="{{ x | tojson }}")
    assert json.loads(json.dumps(operator.attach)) == BLOCKS
    assert operator.template_fields_renderers.keys() <= set(operator.template_fields)
