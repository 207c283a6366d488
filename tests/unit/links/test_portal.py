"""The links of each operator, asked for as Airflow does it when a task ends."""

from __future__ import annotations

import datetime as dt
import importlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from airflow.sdk import DAG, BaseOperator, BaseOperatorLink, task
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import SetXCom
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.state import TaskInstanceState

from airflow_provider_b24.get_provider_info import get_provider_info
from airflow_provider_b24.links import portal as links
from airflow_provider_b24.operators.dialog import DialogReadOperator, DialogUnreadOperator, DialogWritingOperator
from airflow_provider_b24.operators.file import FileUploadOperator
from airflow_provider_b24.operators.message import (
    MessageAddOperator,
    MessageDeleteOperator,
    MessageLikeOperator,
    MessageUpdateOperator,
)
from airflow_provider_b24.operators.notify import NotifyOperator
from airflow_provider_b24.operators.rest import RestOperator
from tests.unit.triggers.comms import Supervisor

INFO = get_provider_info()


class Airflow(Supervisor):
    """Takes note of what a task leaves in XCom."""

    def __init__(self) -> None:
        super().__init__()
        self.left: dict[str, Any] = {}

    def send(self, message: Any) -> Any:
        if isinstance(message, SetXCom):
            self.left[message.key] = message.value
        return super().send(message)


@pytest.fixture
def end(supervised, context):
    """Ends a task as Airflow does it, and tells the links that are shown then, by the words on the button."""

    def ended(operator, state=TaskInstanceState.SUCCESS):
        airflow = supervised(Airflow())
        ti: Any = SimpleNamespace(
            task=operator, dag_id="dag", task_id="one", run_id="run", map_index=-1, start_date=None, end_date=None
        )
        task_runner.finalize(ti, state, context, structlog.get_logger())
        kept = {link.name: airflow.left.pop(link.xcom_key) for link in operator.operator_extra_links}
        assert airflow.left == {}
        return {name: url for name, url in kept.items() if url}

    return ended


def run(kind, context, **arguments):
    operator = kind(task_id="one", **arguments)
    return operator, operator.execute(context)


def test_a_message(portal, context, end):
    operator, message_id = run(MessageAddOperator, context, dialog_id="chat2935", message="x")
    url = f"{portal.url}/online/?IM_DIALOG=chat2935&IM_MESSAGE={message_id}"
    assert end(operator) == {"Message in Bitrix24": url}


def test_a_message_in_the_chat_of_a_deal(portal, context, end):
    operator, message_id = run(MessageAddOperator, context, dialog_id="deal:1663", message="x")
    assert end(operator) == {
        "Message in Bitrix24": f"{portal.url}/online/?IM_DIALOG=chat2939&IM_MESSAGE={message_id}",
        "CRM card in Bitrix24": f"{portal.url}/crm/deal/details/1663/",
    }
    # No call is made for a link.
    assert [call.method for call in portal.calls].count("im.chat.get") == 1


def test_a_bots_message_to_a_person_is_in_the_persons_talk_with_the_bot(portal, context, end, connect):
    connect(portal.connection(), bot_id=101, bot_token=portal.bot_token)
    operator, message_id = run(MessageAddOperator, context, dialog_id="3", message="x", as_bot=True)
    assert end(operator) == {"Message in Bitrix24": f"{portal.url}/online/?IM_DIALOG=101&IM_MESSAGE={message_id}"}


@pytest.mark.parametrize("kind", [DialogWritingOperator, DialogReadOperator])
def test_a_persons_talk_with_the_bot(portal, context, end, connect, kind):
    connect(portal.bot_connection())
    operator, _ = run(kind, context, dialog_id="3")
    assert end(operator) == {"Chat in Bitrix24": f"{portal.url}/online/?IM_DIALOG=101"}


def test_a_notification(portal, context, end):
    operator, _ = run(NotifyOperator, context, user_id="user:boris@example.com", message="x")
    assert end(operator) == {"Person in Bitrix24": f"{portal.url}/company/personal/user/2/"}


def test_a_dialog(portal, context, end):
    operator, _ = run(DialogWritingOperator, context, dialog_id="task:8293")
    assert end(operator) == {
        "Chat in Bitrix24": f"{portal.url}/online/?IM_DIALOG=chat2940",
        "Task in Bitrix24": f"{portal.url}/company/personal/user/0/tasks/task/view/8293/",
    }


def test_the_chat_of_a_workgroup(portal, context, end):
    operator, _ = run(DialogReadOperator, context, dialog_id="sg17")
    assert end(operator) == {"Chat in Bitrix24": f"{portal.url}/online/?IM_DIALOG=sg17"}


def test_a_file(portal, context, end):
    context["ti"].xcom_push = lambda **kept: None
    operator, message_id = run(FileUploadOperator, context, dialog_id="deal:1663", file=b"x", name="x.txt")
    assert end(operator) == {
        "Message in Bitrix24": f"{portal.url}/online/?IM_DIALOG=chat2939&IM_MESSAGE={message_id}",
        "CRM card in Bitrix24": f"{portal.url}/crm/deal/details/1663/",
    }


@pytest.mark.parametrize(
    "change",
    [
        (MessageUpdateOperator, {"message": "y"}, "Message in Bitrix24", True),
        (MessageLikeOperator, {}, "Message in Bitrix24", True),
        (MessageDeleteOperator, {}, "Chat in Bitrix24", False),
    ],
    ids=["update", "like", "delete"],
)
@pytest.mark.parametrize("known", [True, False], ids=["with dialog_id", "without"])
def test_a_message_that_is_there(portal, context, end, change, known):
    kind, arguments, button, at_it = change
    message_id = portal.add_message("chat2935", 1, "x")
    where = {"dialog_id": "chat2935"} if known else {}
    operator, _ = run(kind, context, message_id=message_id, **arguments, **where)
    url = f"{portal.url}/online/?IM_DIALOG=chat2935" + (f"&IM_MESSAGE={message_id}" if at_it else "")
    assert end(operator) == ({button: url} if known else {})


def test_a_message_that_is_unread_again(portal, context, end):
    message_id = portal.add_message("chat2935", 2, "x")
    operator, _ = run(DialogUnreadOperator, context, dialog_id="chat2935", message_id=str(message_id))
    url = f"{portal.url}/online/?IM_DIALOG=chat2935&IM_MESSAGE={message_id}"
    assert end(operator) == {"Message in Bitrix24": url}


def test_links_are_there_while_a_task_is_deferred_and_stay_when_it_ends(portal, context, end):
    arguments: Any = {"task_id": "one", "dialog_id": "deal:1663", "keep_for": 60}
    operator = DialogWritingOperator(**arguments)
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    before = end(operator, TaskInstanceState.DEFERRED)
    assert set(before) == {"Chat in Bitrix24", "CRM card in Bitrix24"}

    with DAG("as_another_process_reads_it"):
        later = DialogWritingOperator(**arguments)
    kept = json.loads(json.dumps(caught.value.kwargs))
    later.resume_execution(caught.value.method_name, {**kept, "event": {"signals": 5}}, context)
    assert end(later) == before


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (("tasks.task.get", {"taskId": 8293}), {"Task in Bitrix24": "/company/personal/user/0/tasks/task/view/8293/"}),
        (("crm.deal.get", {"id": 1}), {"CRM card in Bitrix24": "/crm/deal/details/1/"}),
        (("im.dialog.writing", {"DIALOG_ID": "chat2935"}), {"Chat in Bitrix24": "/online/?IM_DIALOG=chat2935"}),
        (
            ("im.notify.personal.add", {"USER_ID": 2, "MESSAGE": "x"}),
            {"Person in Bitrix24": "/company/personal/user/2/"},
        ),
        (("profile", None), {}),
    ],
)
def test_any_method(portal, context, end, call, shown):
    if 1 not in portal.company.crm.tables[2].rows:
        portal.add_deals(1)
    operator, _ = run(RestOperator, context, method=call[0], params=call[1])
    assert end(operator) == {name: portal.url + path for name, path in shown.items()}


def test_a_report(portal, context, end, dag):
    @task.bitrix24_report(dialog_id="deal:1663")
    def report():
        return "x"

    made: Any = report()
    operator = made.operator
    message_id = operator.execute(context)
    assert end(operator) == {
        "Message in Bitrix24": f"{portal.url}/online/?IM_DIALOG=chat2939&IM_MESSAGE={message_id}",
        "CRM card in Bitrix24": f"{portal.url}/crm/deal/details/1663/",
    }


def test_what_was_refused_has_no_link(portal, context, end):
    operator = MessageAddOperator(task_id="one", dialog_id="chat2936", message="x")
    with pytest.raises(AirflowFailException):
        operator.execute(context)
    assert end(operator, TaskInstanceState.FAILED) == {}


def test_no_secret_is_in_an_address(portal, context, end):
    operator, _ = run(MessageAddOperator, context, dialog_id="chat2935", message="x")
    code = portal.webhook_url.rstrip("/").rsplit("/", 1)[-1]
    assert code
    assert code not in json.dumps(end(operator))


def test_they_go_through_the_database():
    with DAG("dag", start_date=dt.datetime(2026, 1, 1)) as dag:
        MessageAddOperator(task_id="one", dialog_id="chat5", message="x")
        MessageAddOperator.partial(task_id="many", dialog_id="chat5").expand(message=["x", "y"])
    written = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    again = DagSerialization.from_dict(written)
    for task_id in ("one", "many"):
        assert set(again.task_dict[task_id].extra_links) == {
            link.name for link in MessageAddOperator.operator_extra_links
        }


def test_the_provider_names_them_all():
    there = {
        f"{links.__name__}.{name}"
        for name, value in vars(links).items()
        if isinstance(value, type)
        and issubclass(value, BaseOperatorLink)
        and value is not BaseOperatorLink
        and not name.startswith("_")
    }
    assert set(INFO["extra-links"]) == there


def test_every_operator_has_links():
    modules = [name for item in INFO["operators"] for name in item["python-modules"]]
    modules += [item["python-module"] for item in INFO.get("transfers", ())]
    modules.append("airflow_provider_b24.decorators.bitrix24_report")
    operators = [
        value
        for name in modules
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and issubclass(value, BaseOperator) and value.__module__ == name
    ]
    assert [one.__name__ for one in operators if not one.operator_extra_links] == []
