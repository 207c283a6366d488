"""FileUploadOperator: at parse time, and against a portal."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_b24.chat.files import File
from airflow_provider_b24.operators.file import FileUploadOperator
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.errors import ConfigurationError, FileError
from airflow_provider_b24.testing import Fault
from tests.unit.operators.loads import Store


def upload(**arguments):
    task_id = f"upload_{next(NUMBERS)}"
    return FileUploadOperator(**{"task_id": task_id, "dialog_id": "chat2935", **arguments})


NUMBERS = itertools.count()


@pytest.fixture
def task(context):
    """What a task is given that has a state store, and may push to XCom."""
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(id="1", max_tries=1, xcom_push=lambda key, value: pushed.update({key: value}))
    return {**context, "ti": ti, "task_state_store": Store(), "pushed": pushed}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "there is neither file nor files. Give file for one, files for several"),
        ({"file": "a", "files": ["b"]}, "file and files are both given"),
        ({"files": ["a"], "name": "b"}, "name is given with files"),
        ({"file": "a", "dialog_id": "x"}, "dialog_id is 'x', which names no dialog"),
        ({"file": "a", "message": "x" * 20_001}, "message has 20,001 characters"),
        ({"file": "a", "message": 5}, "message is a int"),
        ({"file": "a", "name": "a/b"}, "name is 'a/b'. The name of a file has no slashes"),
        ({"file": "a", "name": "a\nb"}, "no control characters"),
        ({"file": "a", "name": " "}, "A file needs a name"),
        ({"file": "a", "name": "x" * 256}, "name has 256 characters"),
        ({"file": b"a"}, "file is bytes, and there is no name"),
        ({"file": {"a": 1}}, "file is a dict. Give a path"),
        ({"files": ["a", 5]}, "files is a int. Give a path"),
        ({"files": [b"a"]}, "files is bytes, and there is no name"),
        ({"files": "/data/a.csv"}, "files is a text that is no JSON list. Give a list of files"),
        ({"files": '"/data/a.csv"'}, "a text that is no JSON list"),
        ({"files": '["a.csv", 5]'}, "files is a int. Give a path"),
        ({"files": []}, "files is empty. Give a list of files"),
        ({"files": "[]"}, "files is empty"),
        ({"file": "a", "as_bot": "no"}, "as_bot is 'no'"),
        ({"file": "a", "markdown": "no"}, "markdown is 'no'"),
        ({"file": "a", "mentions": "no"}, "mentions is 'no'"),
        ({"file": "a", "post_again_when_cleared": "no"}, "post_again_when_cleared is 'no'"),
        ({"files": {"a": 1}}, "files is a dict"),
    ],
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        upload(**arguments)
    assert words in str(caught.value)


def test_templates_and_results_of_tasks_are_checked_when_the_task_runs(dag):
    first: Any = RestOperator(task_id="first", method="profile")
    operator = upload(file=first.output, name="{{ name }}", message="{{ x }}", dialog_id="{{ d }}")
    assert operator.upstream_task_ids == {"first"}
    assert upload(task_id="second", files=[first.output, "{{ path }}"]).upstream_task_ids == {"first"}


def test_what_is_rendered(dag):
    given = {"dialog_id": "{{ d }}", "name": "{{ n }}", "message": "{{ n }}!", "bitrix24_conn_id": "{{ c }}"}
    operator = upload(file="/data/{{ n }}", **given)
    operator.render_template_fields({"d": "chat5", "n": "a.csv", "c": "other"})
    assert (operator.dialog_id, operator.file, operator.name) == ("chat5", "/data/a.csv", "a.csv")
    assert (operator.message, operator.bitrix24_conn_id) == ("a.csv!", "other")
    several = upload(task_id="several", files=["/data/{{ n }}", Path("/x")])
    several.render_template_fields({"n": "a.csv"})
    assert several.files == ["/data/a.csv", Path("/x")]


def test_its_text_may_be_markdown_and_mention_people(portal, task):
    words = {"markdown": True, "mentions": True}
    upload(file=b"1", name="a.txt", message="**Revenue**, @anna@example.com", **words).execute(task)
    (message,) = portal.messages("chat2935")
    assert message.text == "[b]Revenue[/b], [user=1]Anna Petrova[/user]"
    # How long it is then is known when the task runs.
    upload(file="a", message="x" * 20_001, **words)


def test_a_path_that_ends_like_a_script_is_a_path(dag):
    operator = upload(file="report.sql")
    operator.resolve_template_files()
    assert operator.file == "report.sql"


@pytest.mark.parametrize("kind", ["path", "text", "object", "url", "bytes", "file"])
def test_from_where_a_file_comes(portal, task, tmp_path, kind):
    path = tmp_path / "report.csv"
    path.write_bytes(b"1,2")
    source = {
        "path": path,
        "text": str(path),
        "object": ObjectStoragePath(f"file://{path}"),
        "url": f"file://{path}",
        "bytes": b"1,2",
        "file": File.of_bytes("x", b"1,2"),
    }[kind]
    name = "report.csv" if kind in ("bytes", "file") else None
    message_id = upload(file=source, name=name, message="Revenue").execute(task)
    (message,) = portal.messages("chat2935")
    (card,) = message.files
    assert (message.id, message.text, card["name"]) == (message_id, "Revenue", "report.csv")
    assert portal.company.files[card["id"]].content == b"1,2"
    assert task["pushed"] == {"file_id": card["id"]}


def test_several_in_one_message(portal, task, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"1")
    files = [tmp_path / "a.csv", File.of_bytes("b.csv", b"2")]
    message_id = upload(files=files).execute(task)
    (message,) = portal.messages("chat2935")
    assert message.id == message_id
    assert task["pushed"] == {"file_id": [card["id"] for card in message.files]}


def test_several_that_a_template_has_made(portal, task, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"1")
    (tmp_path / "b.csv").write_bytes(b"2")
    operator = upload(files="{{ paths | tojson }}")
    operator.render_template_fields({"paths": [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]})
    operator.execute(task)
    (message,) = portal.messages("chat2935")
    assert [card["name"] for card in message.files] == ["a.csv", "b.csv"]
    operator.files = "['a.csv']"
    with pytest.raises(AirflowFailException, match=r"files is a text that is no JSON list\..* tojson"):
        operator.execute(task)


def test_outside_of_a_task_nothing_is_pushed(portal):
    message_id = upload(file=b"1", name="a.txt").execute({})
    (message,) = portal.messages("chat2935")
    assert message.id == message_id


@pytest.mark.parametrize("fault", [None, "reset_after"])
def test_a_retry_after_success_neither_reads_nor_sends(portal, task, tmp_path, fault):
    path = tmp_path / "report.csv"
    path.write_bytes(b"1,2")
    if fault:
        portal.faults.add(Fault(fault, "im.v2.File.upload"))
    first = upload(file=path).execute(task)
    pushed = dict(task["pushed"])
    task["pushed"].clear()
    path.unlink()
    calls = len(portal.calls)
    assert upload(file=path).execute(task) == first
    assert len(portal.calls) == calls
    assert task["pushed"] == pushed


def test_a_cleared_task_posts_anew_unless_told_otherwise(portal, task):
    first = upload(file=b"1", name="a.txt").execute(task)
    task["ti"].max_tries += 1
    assert upload(file=b"1", name="a.txt", post_again_when_cleared=False).execute(task) == first
    assert upload(file=b"1", name="a.txt").execute(task) != first


def test_a_file_that_is_not_there_yet_is_for_the_retries(portal, task):
    with pytest.raises(FileError, match="No such file or directory"):
        upload(file="/nowhere/report.csv").execute(task)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"file": b"", "name": "a.txt"}, "the file 'a.txt' is empty"),
        ({"file": b"1", "name": "a.txt", "dialog_id": "chat2936"}, "ACCESS_DENIED"),
        ({"file": "nowhere://bucket/key"}, "a storage of the kind nowhere:// can not be used here"),
        ({"file": b"1", "name": "a.txt", "as_bot": True}, "as_bot"),
    ],
)
def test_what_no_retry_can_help_fails_at_once(portal, task, arguments, words):
    with pytest.raises(AirflowFailException, match=words):
        upload(**arguments).execute(task)


def test_a_result_that_is_no_file(portal, task):
    operator = upload(file="{{ x }}")
    operator.file = None
    with pytest.raises(AirflowFailException, match=r"file is a NoneType\. Give a path"):
        operator.execute(task)


def test_as_the_bot(portal, connect, task):
    connect(portal.bot_connection())
    upload(file=b"1", name="a.txt").execute(task)
    upload(file=b"1", name="a.txt", as_bot=False).execute({**task, "task_state_store": Store()})
    assert [message.author_id for message in portal.messages("chat2935")] == [101, 1]
