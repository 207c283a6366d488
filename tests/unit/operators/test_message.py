"""MessageAddOperator: at parse time, and against a portal."""

from __future__ import annotations

import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_b24.chat.recognition import is_our_uuid
from airflow_provider_b24.operators.message import MessageAddOperator
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.clock import SystemClock
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError
from airflow_provider_b24.testing import Fault


def message(**arguments):
    return MessageAddOperator(**{"task_id": "report", "dialog_id": "chat2935", "message": "text", **arguments})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dialog_id": "x"}, "dialog_id is 'x', which names no dialog. Use 'chat2935'"),
        ({"dialog_id": None}, "dialog_id is None, which names no dialog"),
        ({"message": None}, "message is empty, and there is no attach. Give one of the two."),
        ({"message": " "}, "message is empty, and there is no attach. Give one of the two."),
        ({"message": "", "attach": []}, "message is empty, and there is no attach. Give one of the two."),
        (
            {"message": "x" * 20_001, "long_text": "refuse"},
            "message has 20,001 characters, and the portal would cut it at 20,000",
        ),
        ({"long_text": "cut"}, "long_text is 'cut'. It is one of file, split, refuse."),
        ({"message": "{{ x }}", "long_text": "cut"}, "long_text is 'cut'"),
        ({"message": 5}, "message is a int. Give a text."),
        ({"attach": 5}, "attach is a int. Give a list of blocks, or a mapping"),
        ({"keyboard": "buttons"}, "keyboard is a text that is no JSON. Give a list of blocks"),
        ({"menu": 5}, "menu is a int"),
        ({"attach": [1]}, "attach is a list with a int, and a block is a mapping. Give a list of blocks"),
        ({"attach": {"BLOCKS": [{"MESSAGE": "x"}, "y"]}}, "attach is a list with a str"),
        ({"attach": "[1]"}, "attach is a list with a int"),
        ({"keyboard": {"BUTTONS": ["b"]}}, "keyboard is a list with a str"),
        ({"menu": [None]}, "menu is a list with a NoneType"),
        ({"as_bot": "no"}, "as_bot is 'no'. It is True, False or None; and it can not be a template."),
        ({"markdown": "no"}, "markdown is 'no'. It is True or False; and it can not be a template."),
        ({"mentions": "{{ x }}"}, "mentions is '{{ x }}'. It is True or False"),
        ({"system": "x"}, "system is 'x'"),
        ({"url_preview": None}, "url_preview is None"),
        ({"post_again_when_cleared": 0}, "post_again_when_cleared is 0"),
        ({"reply_id": "first"}, "reply_id is 'first'. The id of a message is a number, such as 90841."),
        ({"reply_id": 0}, "reply_id is 0. The id of a message is a number"),
    ],
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        message(**arguments)
    assert words in str(caught.value)


def test_a_task_without_any_text():
    with pytest.raises(ConfigurationError, match="message is empty"):
        MessageAddOperator(task_id="report", dialog_id="chat5")
    MessageAddOperator(task_id="report", dialog_id="chat5", attach=[{"MESSAGE": "x"}])


def test_templates_and_results_of_tasks_are_checked_when_the_task_runs(dag):
    first: Any = RestOperator(task_id="first", method="profile")
    operator = message(
        task_id="second",
        dialog_id="{{ x }}",
        message=first.output["text"],
        reply_id=first.output,
        keyboard="{{ buttons }}",
    )
    assert operator.upstream_task_ids == {"first"}
    message(task_id="third", message="{{ x * 30000 }}", reply_id="{{ y }}")
    message(task_id="fourth", message=None, attach=first.output)
    message(task_id="fifth", attach=[first.output, "{{ x }}"], keyboard={"BUTTONS": ["{{ x }}"]})
    message(task_id="sixth", attach={"BLOCKS": first.output})


def test_what_is_rendered(dag):
    operator = message(
        dialog_id="{{ dialog }}",
        message="Revenue: {{ sum }}",
        attach=[{"GRID": [{"NAME": "{{ name }}", "VALUE": ("{{ sum }}", 5, None)}]}],
        keyboard={"BUTTONS": [{"TEXT": "{{ name }}", "LINK": "https://example.com/{{ sum }}"}]},
        menu={"ITEMS": ["{{ name }}"]},
        reply_id="{{ first }}",
        bitrix24_conn_id="{{ conn }}",
    )
    operator.render_template_fields({"dialog": "chat5", "sum": "7", "name": "Анна", "first": "9", "conn": "other"})
    assert operator.dialog_id == "chat5"
    assert operator.message == "Revenue: 7"
    assert operator.attach == [{"GRID": [{"NAME": "Анна", "VALUE": ("7", 5, None)}]}]
    assert operator.keyboard == {"BUTTONS": [{"TEXT": "Анна", "LINK": "https://example.com/7"}]}
    assert operator.menu == {"ITEMS": ["Анна"]}
    assert (operator.reply_id, operator.bitrix24_conn_id) == ("9", "other")


def test_a_text_that_ends_like_a_file_is_a_text(dag):
    operator = message(message="Look at report.sql")
    operator.resolve_template_files()
    operator.render_template_fields({})
    assert operator.message == "Look at report.sql"


def test_the_id_of_the_message(portal, context):
    message_id = message().execute(context)
    assert [one.id for one in portal.messages("chat2935")] == [message_id]


def test_every_parameter(portal, context):
    first = message().execute(context)
    message(
        task_id="second",
        message="second",
        attach=[{"MESSAGE": "a"}],
        keyboard=[{"TEXT": "b", "LINK": "https://example.com/"}],
        menu=[{"TEXT": "c", "LINK": "https://example.com/"}],
        system=True,
        url_preview=False,
        reply_id=str(first),
    ).execute(context)
    assert portal.calls[-1].params == {
        "DIALOG_ID": "chat2935",
        "MESSAGE": "second",
        "ATTACH": [{"MESSAGE": "a"}],
        "KEYBOARD": [{"TEXT": "b", "LINK": "https://example.com/"}],
        "MENU": [{"TEXT": "c", "LINK": "https://example.com/"}],
        "SYSTEM": "Y",
        "URL_PREVIEW": "N",
        "REPLY_ID": first,
    }


@pytest.mark.parametrize("dialog_id", ["deal:1663", "user:daniel@example.com", "task:8293", 4])
def test_named_by_what_it_belongs_to(portal, context, dialog_id):
    message(dialog_id=dialog_id).execute(context)
    found = {"deal:1663": "chat2939", "task:8293": "chat2940"}.get(str(dialog_id), "4")
    assert len(portal.messages(found)) == 1


def test_a_lost_answer_is_settled(portal, context):
    portal.faults.add(Fault("reset_after", "im.message.add"))
    message_id = message().execute(context)
    assert [one.id for one in portal.messages("chat2935")] == [message_id]


def test_what_the_dialog_does_not_tell_fails_without_retries(portal, context):
    portal.faults.add(Fault("reset_after", "im.message.add"))
    portal.faults.add(Fault("error", "im.dialog.messages.get", times=None, code="ACCESS_ERROR", status=403))
    with pytest.raises(AirflowFailException, match=r"whether it was posted is not known.*Look in the dialog"):
        message().execute(context)
    assert len(portal.messages("chat2935")) == 1


def test_as_the_bot(portal, context, connect):
    connect(portal.bot_connection())
    for as_bot in (None, True):
        message_id = message(
            task_id=f"{as_bot}", as_bot=as_bot, keyboard=[{"TEXT": "b", "LINK": "https://example.com/"}]
        ).execute(context)
        posted = portal.messages("chat2935")[-1]
        assert (posted.id, posted.author_id) == (message_id, 101)
        assert is_our_uuid(posted.uuid)
    message_id = message(task_id="own", as_bot=False).execute(context)
    posted = portal.messages("chat2935")[-1]
    assert (posted.id, posted.author_id) == (message_id, 1)


def test_what_a_bot_can_not_do_the_account_does(portal, context, connect):
    connect(portal.bot_connection())
    message(menu=[{"TEXT": "c", "LINK": "https://example.com/"}]).execute(context)
    (posted,) = portal.messages("chat2935")
    assert posted.author_id == 1


def test_a_bot_that_is_not_in_the_chat(portal, context, connect):
    connect(portal.bot_connection())
    with pytest.raises(AirflowFailException) as caught:
        message(dialog_id="chat2936").execute(context)
    assert str(caught.value).startswith("imbot.v2.Chat.Message.send: ACCESS_DENIED (HTTP 403): Access denied. ")
    assert "The bot is no member of that chat: add it to the chat, or let the account do it with as_bot=False." in str(
        caught.value
    )


def test_a_bot_in_a_workgroup(portal, context, connect):
    connect(portal.bot_connection())
    message(dialog_id="sg17").execute(context)
    (posted,) = portal.messages("sg17")
    assert posted.author_id == 101


def test_as_a_bot_that_there_is_not(portal, context):
    with pytest.raises(
        AirflowFailException, match=r"has no bot\. Register one: airflow bitrix24 bot register bitrix24_def"
    ):
        message(as_bot=True).execute(context)
    assert portal.calls == []


def test_a_bots_message_has_no_menu(portal, context, connect):
    with pytest.raises(ConfigurationError, match="a bot's message has no menu"):
        message(as_bot=True, menu=[{"TEXT": "c"}])
    connect(portal.bot_connection())
    operator = message(task_id="other", as_bot=True, menu="{{ menu }}")
    operator.menu = '[{"TEXT": "c"}]'
    with pytest.raises(AirflowFailException, match="a bot's message has no menu"):
        operator.execute(context)
    assert portal.calls == []


class TestTries:
    """A context as Airflow 3.3 gives it, whose store outlives the try."""

    @pytest.fixture
    def store(self, context):
        class Accessor(dict):
            def set(self, key, value):
                self[key] = json.loads(json.dumps(value))

        context["task_state_store"] = Accessor()
        context["ti"].max_tries = 2
        context["ti"].id = "0199-1"
        return context["task_state_store"]

    def test_a_retry_returns_the_id(self, portal, context, store):
        operator = message()
        first = operator.execute(context)
        context["ti"].try_number = 2
        assert operator.execute(context) == first
        assert len(portal.messages("chat2935")) == 1
        assert store["bitrix24/message/message"]["id"] == first

    def test_a_cleared_task_posts_anew_unless_told_otherwise(self, portal, context, store):
        operator = message()
        first = operator.execute(context)
        context["ti"].max_tries = 3
        operator.post_again_when_cleared = False
        assert operator.execute(context) == first
        operator.post_again_when_cleared = True
        assert operator.execute(context) != first
        assert len(portal.messages("chat2935")) == 2

    def test_without_a_store_a_retry_looks_since_when_its_run_began(self, portal, context):
        operator = message(retries=2)
        first = operator.execute(context)
        context["ti"].max_tries, context["ti"].try_number, context["ti"].task = 2, 2, operator
        context["dag_run"] = SimpleNamespace(start_date=dt.datetime.now(dt.timezone.utc))
        assert operator.execute(context) == first
        # The first try after a clear.
        context["ti"].max_tries = 3
        assert operator.execute(context) != first


@pytest.mark.parametrize(
    ("dialog_id", "words"),
    [("chat2936", "ACCESS_ERROR"), ("chat999", "CHAT_ID"), ("deal:9", "deal 9 has no chat")],
)
def test_what_is_refused_for_good_fails_without_retries(portal, context, dialog_id, words):
    with pytest.raises(AirflowFailException, match=words):
        message(dialog_id=dialog_id).execute(context)


def test_what_may_pass_is_retried(connect, context, monkeypatch):
    monkeypatch.setattr(SystemClock, "sleep", lambda self, seconds: None)
    connect("bitrix24://1:c0dec0de@127.0.0.1:9/http")
    with pytest.raises(Bitrix24Error, match="the connection was refused") as caught:
        message().execute(context)
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"message": ""}, "message is empty"),
        ({"message": {"a": 1}}, "message is a dict"),
        ({"dialog_id": "None"}, "dialog_id is 'None'"),
        ({"reply_id": "None"}, "reply_id is 'None'"),
        ({"keyboard": 5}, "keyboard is a int"),
    ],
)
def test_what_templates_render_to_is_checked_before_it_is_sent(portal, dag, context, fields, words):
    operator = message(**{name: f"{{{{ {name} }}}}" for name in fields})
    for name, value in fields.items():
        setattr(operator, name, value)
    with pytest.raises(AirflowFailException, match=words):
        operator.execute(context)
    assert portal.calls == []


def test_a_date_in_an_attachment(portal, context):
    message(attach=[{"MESSAGE": dt.date(2026, 10, 1)}]).execute(context)
    assert portal.calls[-1].params["ATTACH"] == [{"MESSAGE": "2026-10-01"}]
