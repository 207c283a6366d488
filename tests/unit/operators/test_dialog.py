"""DialogWritingOperator, DialogReadOperator and DialogUnreadOperator: at parse time, and against a portal."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from airflow.sdk import TaskGroup, task
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.sdk.serde import deserialize, serialize

from airflow_provider_b24.operators.dialog import DialogReadOperator, DialogUnreadOperator, DialogWritingOperator
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.clock import SystemClock
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError
from airflow_provider_b24.testing import Fault
from airflow_provider_b24.triggers.dialog import DialogWritingTrigger
from tests.unit.triggers.comms import InProcessSupervisor, Supervisor


def writing(**arguments):
    return DialogWritingOperator(**{"task_id": "typing", "dialog_id": "chat2935", **arguments})


def deferred(operator, context) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    return caught.value


# ---- while the DAG is parsed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dialog_id": "CHAT5"}, ["dialog_id is 'CHAT5'", "'chat2935'", "'sg17'", "'13'"]),
        ({"dialog_id": ""}, ["dialog_id is ''", "'chat2935'"]),
        ({"dialog_id": None}, ["dialog_id is None", "'chat2935'"]),
        ({"dialog_id": 0}, ["dialog_id is 0", "'chat2935'"]),
        ({"dialog_id": ["chat5"]}, ["dialog_id is ['chat5']", "'chat2935'"]),
        ({"dialog_id": "deal:"}, ["dialog_id is 'deal:'", "'deal:1663'"]),
        ({"keep_for": 0}, ["keep_for is 0", "timedelta or seconds"]),
        ({"keep_for": "60"}, ["keep_for is '60'", "timedelta or seconds"]),
        ({"interval": 25}, ["interval is 25", "from 2 to 24"]),
        ({"interval": dt.timedelta(seconds=1)}, ["interval is 1.0", "from 2 to 24"]),
        ({"interval": "12"}, ["interval is '12'", "timedelta or seconds"]),
        ({"status": "DREAMING"}, ["status is 'DREAMING'", "PROCESSING"]),
        ({"status": "PROCESSING", "as_bot": False}, ["status is 'PROCESSING', and as_bot is False", "leave one"]),
        ({"as_bot": "no"}, ["as_bot is 'no'", "True, False or None", "no", "template"]),
        ({"poll_interval": 0}, ["poll_interval is 0", "above zero"]),
        ({"while_running": []}, ["while_running of 'typing' is empty", "Name the tasks"]),
        ({"while_running": "typing"}, ["names the task itself", "other tasks"]),
        ({"while_running": [5]}, ["while_running of 'typing' has 5", "task ids"]),
        ({"while_running": "a", "keep_for": 60}, ["keep_for and while_running are both given", "Either"]),
    ],
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        writing(**arguments)
    for word in words:
        assert word in str(caught.value)


def test_templates_and_results_of_tasks_are_checked_when_the_task_runs(dag):
    first = RestOperator(task_id="first", method="im.chat.get", params={})
    writing(task_id="a", dialog_id="{{ params.dialog }}")
    writing(task_id="b", dialog_id="chat{% if x %}5{% endif %}")
    third = writing(task_id="c", dialog_id=first.output)
    assert third.upstream_task_ids == {"first"}


def test_arguments_as_they_are_kept():
    operator = writing(keep_for=dt.timedelta(minutes=2), interval=dt.timedelta(seconds=10), status=" processing")
    assert (operator.keep_for, operator.interval, operator.status) == (120.0, 10.0, " processing")
    assert writing().interval == 12.0
    assert writing(poll_interval=0.1).poll_interval == 1.0
    assert writing(while_running=["b", "a", "b"]).while_running == ["b", "a"]


def test_rendered_fields(dag):
    assert DialogWritingOperator.template_fields == ("dialog_id", "status", "bitrix24_conn_id")
    operator = writing(dialog_id="{{ dialog }}", status="{{ what }}", bitrix24_conn_id="{{ conn }}")
    operator.render_template_fields({"dialog": "chat7", "what": "READING_DOCS", "conn": "other"})
    assert (operator.dialog_id, operator.status, operator.bitrix24_conn_id) == ("chat7", "READING_DOCS", "other")


# ---- one signal


def test_one_signal(portal, context):
    writing().execute(context)
    (signal,) = portal.signals("chat2935")
    assert (signal.author_id, signal.status) == (1, None)


def test_where_it_is_named_by_what_it_belongs_to(portal, context):
    writing(dialog_id="deal:1663").execute(context)
    assert len(portal.signals("chat2939")) == 1


def test_as_a_bot(portal, connect, context):
    connect(portal.bot_connection())
    writing(status="CALCULATING").execute(context)
    for as_bot in (None, True, False):
        writing(task_id=f"as_bot_{as_bot}", as_bot=as_bot).execute(context)
    writing(task_id="sg", dialog_id="sg17").execute(context)
    assert [(signal.author_id, signal.status) for signal in portal.signals("chat2935")] == [
        (101, "IMBOT_AGENT_ACTION_CALCULATING"),
        (101, None),
        (101, None),
        (1, None),
    ]
    assert [signal.author_id for signal in portal.signals("sg17")] == [101]


def test_a_status_that_a_template_has_made(portal, connect, context):
    connect(portal.bot_connection())
    operator = writing(status="{{ what }}", keep_for=1200)
    operator.render_template_fields({"what": " calculating"})
    trigger = deferred(operator, context).trigger
    assert [signal.status for signal in portal.signals("chat2935")] == ["IMBOT_AGENT_ACTION_CALCULATING"]
    assert trigger.serialize()[1]["status"] == "CALCULATING"
    operator.status = ""
    deferred(operator, context)
    operator.status = "DREAMING"
    with pytest.raises(AirflowFailException, match="status is 'DREAMING'"):
        operator.execute(context)
    assert len(portal.signals("chat2935")) == 2


def test_a_status_without_a_bot(portal, context):
    with pytest.raises(AirflowFailException, match=r"'bitrix24_default' has no bot.*Register one"):
        writing(status="CALCULATING").execute(context)
    with pytest.raises(AirflowFailException, match=r"as_bot is set, and the connection 'bitrix24_default' has no bot"):
        writing(task_id="as_bot", as_bot=True).execute(context)
    assert portal.calls == []


def test_a_bot_that_is_not_in_the_chat(portal, connect, context):
    connect(portal.bot_connection())
    with pytest.raises(AirflowFailException, match="add it to the chat, or let the account do it with as_bot=False"):
        writing(dialog_id="chat2936").execute(context)


@pytest.mark.parametrize(
    ("dialog_id", "words"),
    [("chat2936", "ACCESS_ERROR"), ("chat9999", "ACCESS_ERROR"), ("deal:99", "deal 99 has no chat")],
)
def test_what_is_refused_for_good_fails_without_retries(portal, context, dialog_id, words):
    with pytest.raises(AirflowFailException, match=words):
        writing(dialog_id=dialog_id, keep_for=60).execute(context)


def test_a_template_that_renders_to_nonsense_fails_without_retries(portal, dag, context):
    operator = writing(dialog_id="{{ dialog }}")
    operator.render_template_fields({"dialog": "None"})
    with pytest.raises(AirflowFailException, match=r"dialog_id is 'None'.*'chat2935'"):
        operator.execute(context)


def test_what_may_pass_is_retried(connect, context, monkeypatch):
    monkeypatch.setattr(SystemClock, "sleep", lambda self, seconds: None)
    connect("bitrix24://1:c0dec0de@127.0.0.1:9/http")
    with pytest.raises(Bitrix24Error, match="the connection was refused") as caught:
        writing().execute(context)
    assert not isinstance(caught.value, AirflowFailException)


def test_a_connection_that_is_not_there(context):
    with pytest.raises(AirflowFailException, match="Airflow has no connection 'nowhere'"):
        writing(bitrix24_conn_id="nowhere").execute(context)


# ---- for a while


def test_for_a_while(portal, context):
    operator = writing(dialog_id="deal:1663", keep_for=120, interval=10, bitrix24_conn_id="bitrix24_default")
    before = dt.datetime.now(dt.timezone.utc)
    task_deferred = deferred(operator, context)
    assert len(portal.signals("chat2939")) == 1
    assert task_deferred.method_name == "execute_complete"
    assert task_deferred.timeout is None
    trigger = task_deferred.trigger
    assert isinstance(trigger, DialogWritingTrigger)
    until = dt.datetime.fromisoformat(trigger.serialize()[1]["until"])
    assert dt.timedelta(0) <= until - before - dt.timedelta(seconds=120) < dt.timedelta(seconds=5)
    assert trigger.serialize()[1] == {
        "bitrix24_conn_id": "bitrix24_default",
        "dialog_id": "chat2939",
        "interval": 10.0,
        "until": until.isoformat(),
        "task_ids": [],
        "dag_id": None,
        "run_id": None,
        "poll_interval": 2.0,
        "status": None,
        "as_bot": None,
        "lit_until": None,
    }


def test_the_end_of_typing(capsys, context):
    assert writing().execute_complete(context, {"status": "success", "signals": 7}) is None
    assert "7 further signals" in capsys.readouterr().out


# ---- while other tasks work


def beside(dag, while_running=("build",), **arguments):
    for task_id in ("build", "load"):
        RestOperator(task_id=task_id, method="profile")
    return writing(while_running=list(while_running), **arguments)


@pytest.mark.parametrize(("keep_for", "duration"), [(120, 120), (1500, 600)])
def test_for_a_while_as_a_bot(portal, connect, context, keep_for, duration):
    connect(portal.bot_connection())
    before = dt.datetime.now(dt.timezone.utc)
    trigger = deferred(writing(keep_for=keep_for), context).trigger.serialize()[1]
    until, lit_until = (dt.datetime.fromisoformat(trigger[name]) for name in ("until", "lit_until"))
    (signal,) = portal.signals("chat2935")
    assert (signal.author_id, signal.duration) == (101, duration)
    assert until - lit_until == dt.timedelta(seconds=keep_for - duration)
    assert dt.timedelta(0) <= until - before - dt.timedelta(seconds=keep_for) < dt.timedelta(seconds=5)


def test_while_others_work(portal, dag, context, supervised):
    supervised(Supervisor([("build", -1, "running"), ("load", -1, None)]))
    operator = beside(dag, ["build", "load"], interval=5, poll_interval=3)
    kwargs = deferred(operator, context).trigger.serialize()[1]
    assert len(portal.signals("chat2935")) == 1
    assert kwargs == {
        "bitrix24_conn_id": "bitrix24_default",
        "dialog_id": "chat2935",
        "interval": 5.0,
        "until": None,
        "task_ids": ["build", "load"],
        "dag_id": "dag",
        "run_id": "run",
        "poll_interval": 3.0,
        "status": None,
        "as_bot": None,
        "lit_until": None,
    }


@pytest.mark.parametrize("state", [None, "scheduled", "queued", "up_for_retry", "restarting"])
def test_nobody_types_before_the_work(portal, dag, context, supervised, state):
    supervised(Supervisor([("build", -1, state)]))
    deferred(beside(dag), context)
    assert portal.signals("chat2935") == []


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "upstream_failed", "removed"])
def test_nobody_waits_for_what_is_done(portal, dag, context, supervised, state):
    supervised(Supervisor([("build", -1, state)]))
    assert beside(dag).execute(context) is None
    assert portal.signals("chat2935") == []


def test_where_tasks_run_one_by_one_one_signal_is_sent(portal, dag, context, supervised, capsys):
    supervised(InProcessSupervisor())
    assert beside(dag).execute(context) is None
    assert len(portal.signals("chat2935")) == 1
    assert "run one by one here (dag.test)" in capsys.readouterr().out


@pytest.mark.parametrize("trigger_arguments", [{"keep_for": 60}, {"while_running": ["build"]}])
def test_the_trigger_survives_its_way_through_the_database(portal, dag, context, supervised, trigger_arguments):
    supervised(Supervisor([("build", -1, "running")]))
    RestOperator(task_id="build", method="profile")
    trigger = deferred(writing(**trigger_arguments), context).trigger
    path, kwargs = trigger.serialize()
    again: Any = deserialize(serialize(kwargs))
    assert again == kwargs
    module, _, name = path.rpartition(".")
    assert (module, name) == (DialogWritingTrigger.__module__, "DialogWritingTrigger")
    assert DialogWritingTrigger(**again).serialize() == (path, kwargs)


def test_no_secret_goes_to_the_database(portal, connect, dag, context):
    connect(portal.bot_connection())
    trigger = deferred(writing(keep_for=60, status="PROCESSING"), context).trigger
    shown = repr(trigger.serialize())
    assert portal.access.webhook_code not in shown
    assert portal.bot_token not in shown


# ---- beside them in the graph


def test_watching_a_task_that_waits_for_it(portal, dag, context, supervised):
    typing = beside(dag)
    typing >> dag.get_task("load") >> dag.get_task("build")
    with pytest.raises(AirflowFailException) as caught:
        typing.execute(context)
    assert "'typing' is needed by 'build', which it is to watch (while_running)" in str(caught.value)
    assert "Put it beside the watched tasks" in str(caught.value)
    assert portal.calls == []


def test_watching_a_task_for_which_it_has_waited(portal, dag, context, supervised):
    typing = beside(dag, ["build", "load"])
    dag.get_task("build") >> dag.get_task("load") >> typing
    with pytest.raises(AirflowFailException, match=r"'typing' depends on 'build', 'load', which it is to watch"):
        typing.execute(context)
    assert portal.calls == []


def test_watching_a_task_that_is_not_there(portal, dag, context, supervised):
    with TaskGroup("reports"):
        RestOperator(task_id="build_all", method="profile")
    typing = beside(dag, ["build_all", "build"])
    with pytest.raises(AirflowFailException) as caught:
        typing.execute(context)
    assert str(caught.value) == (
        "while_running of 'typing' names 'build_all', which the DAG has not. "
        "Inside a task group the id is 'reports.build_all'."
    )
    with pytest.raises(AirflowFailException, match=r"names 'nothing', which the DAG has not. $"):
        writing(task_id="t2", while_running="nothing", dag=dag).execute(context)


def test_watching_creates_no_dependency(dag):
    @task
    def build():
        return 1

    called = build()
    typing = writing(while_running=[called])
    assert typing.while_running == ["build"]
    assert typing.get_flat_relative_ids(upstream=True) == typing.get_flat_relative_ids(upstream=False) == set()


def test_mapped_it_watches_and_is_checked_too(portal, dag, context, supervised):
    supervised(Supervisor([("build", -1, "running")]))
    build = RestOperator(task_id="build", method="profile")
    mapped = DialogWritingOperator.partial(task_id="typing", while_running=["build"]).expand(
        dialog_id=["chat2935", "chat2938"]
    )
    operator = mapped.unmap({"dialog_id": "chat2938"})
    assert isinstance(operator, DialogWritingOperator)
    assert deferred(operator, context).trigger.serialize()[1]["dialog_id"] == "chat2938"
    mapped >> build
    with pytest.raises(AirflowFailException, match="'typing' is needed by 'build'"):
        mapped.unmap({"dialog_id": "chat2938"}).execute(context)


def test_others_may_come_before_and_after(portal, dag, context, supervised):
    supervised(Supervisor([("build", -1, "running")]))
    typing = beside(dag)
    first, last = (RestOperator(task_id=name, method="profile") for name in ("first", "last"))
    first >> [typing, dag.get_task("build")] >> last
    deferred(typing, context)


# ---- read marks


def test_marking_as_read(portal, dag, context):
    messages = [portal.add_message("chat2935", 2, text) for text in ("a", "b", "c")]
    answer = DialogReadOperator(task_id="read", dialog_id="chat2935", message_id=messages[1]).execute(context)
    assert (answer["lastId"], answer["counter"]) == (messages[1], 1)
    answer = DialogReadOperator(task_id="read_all", dialog_id="chat2935").execute(context)
    assert answer == {"dialogId": "chat2935", "chatId": 2935, "lastId": messages[2], "counter": 0}
    assert DialogUnreadOperator(task_id="un", dialog_id="chat2935", message_id=str(messages[2])).execute(context)
    assert portal.chat("chat2935").unread(1) == 1


def test_marking_as_read_for_the_bot(portal, connect, dag, context):
    connect(portal.bot_connection())
    messages = [portal.add_message("chat2935", 2, text) for text in ("a", "b", "c")]
    answer = DialogReadOperator(task_id="read", dialog_id="chat2935", message_id=messages[1]).execute(context)
    assert answer == {"chatId": 2935, "lastId": messages[1], "counter": 1, "viewedMessages": messages[:2]}
    assert portal.chat("chat2935").unread(1) == 3
    assert DialogReadOperator(task_id="all", dialog_id="sg17", as_bot=True).execute(context)["counter"] == 0
    answer = DialogReadOperator(task_id="own", dialog_id="chat2935", as_bot=False).execute(context)
    assert answer["counter"] == portal.chat("chat2935").unread(1) == 0


def test_no_access_is_no_success(portal, dag, context):
    with pytest.raises(AirflowFailException, match=r"im\.dialog\.read: the account has no access to .* chat2936"):
        DialogReadOperator(task_id="read", dialog_id="chat2936").execute(context)


def test_an_empty_template_means_all(portal, dag, context):
    last = portal.add_message("chat2935", 2, "a")
    operator = DialogReadOperator(task_id="read", dialog_id="chat2935", message_id="{{ nothing }}")
    operator.render_template_fields({"nothing": ""})  # type: ignore[typeddict-unknown-key]
    assert operator.execute(context)["lastId"] == last


@pytest.mark.parametrize("kind", [DialogReadOperator, DialogUnreadOperator])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dialog_id": "x"}, "dialog_id is 'x'"),
        ({"message_id": 0}, "message_id is 0. The id of a message is a number"),
        ({"message_id": "last"}, "message_id is 'last'. The id of a message is a number"),
    ],
)
def test_marks_are_checked_while_the_dag_is_parsed(kind, arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        kind(**{"task_id": "read", "dialog_id": "chat5", "message_id": 5, **arguments})


@pytest.mark.parametrize("kind", [DialogReadOperator, DialogUnreadOperator])
def test_marks_from_templates_and_other_tasks(portal, dag, context, kind):
    message = portal.add_message("chat2935", 2, "a")
    first: Any = RestOperator(task_id="first", method="profile")
    kind(task_id="second", dialog_id=first.output, message_id=first.output["ID"])
    operator = kind(task_id="read", dialog_id="{{ dialog }}", message_id="{{ message }}")
    operator.render_template_fields({"dialog": "chat2935", "message": message})
    assert operator.execute(context)
    assert portal.calls[-1].params == {"DIALOG_ID": "chat2935", "MESSAGE_ID": message}


@pytest.mark.parametrize("dialog_id", ["chat2935", "chat2936"])
def test_nothing_marked_is_no_success(portal, dag, context, dialog_id):
    with pytest.raises(AirflowFailException, match=rf"nothing was marked in the dialog {dialog_id}\. Is the message"):
        DialogUnreadOperator(task_id="un", dialog_id=dialog_id, message_id=1).execute(context)


@pytest.mark.parametrize("kind", [DialogReadOperator, DialogUnreadOperator])
def test_marks_that_are_refused(portal, dag, context, kind):
    portal.faults.add(Fault("error", "*", code="ACCESS_ERROR", status=403))
    with pytest.raises(AirflowFailException, match="ACCESS_ERROR"):
        kind(task_id="mark", dialog_id="chat2935", message_id=1).execute(context)
