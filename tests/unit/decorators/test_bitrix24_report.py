"""``@task.bitrix24_report``: typing while the function runs, then its result as a message."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_b24.chat import text
from airflow_provider_b24.decorators.bitrix24_report import Bitrix24ReportOperator
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.testing import Fault
from tests.portal.hook.faces import eventually


@pytest.fixture
def run(dag, context):
    """Runs a decorated function as a task."""

    def running(function, *args, **kwargs):
        return function(*args, **kwargs).operator.execute(context)

    return running


def report(function=None, **arguments):
    return task.bitrix24_report(**{"task_id": "report", "dialog_id": "chat2935", **arguments})(
        function or (lambda: "text")
    )


def operator_of(called: Any) -> Bitrix24ReportOperator:
    return called.operator


def texts(portal, dialog_id="chat2935"):
    return [message.text for message in portal.messages(dialog_id)]


def is_lit(portal, dialog_id="chat2935"):
    return bool(portal.chat(dialog_id).lit(time.time()))


def test_typing_and_then_the_message(portal, run):
    @task.bitrix24_report(dialog_id="chat2935")
    def weekly() -> str:
        eventually(lambda: is_lit(portal))
        return "Revenue: 5"

    message_id = run(weekly)
    (message,) = portal.messages("chat2935")
    assert (message.id, message.text) == (message_id, "Revenue: 5")
    assert not is_lit(portal)
    assert [call.method for call in portal.calls] == [
        "im.dialog.writing",
        "im.dialog.messages.get",
        "im.message.add",
    ]


def test_an_async_function(portal, run):
    @task.bitrix24_report(dialog_id="chat2935")
    async def weekly(week):
        import asyncio

        await asyncio.to_thread(eventually, lambda: is_lit(portal))
        return f"week {week}"

    assert run(weekly, 5)
    assert texts(portal) == ["week 5"]
    assert not is_lit(portal)


def test_a_mapping(portal, run):
    first = run(report(lambda: "first"))

    @task.bitrix24_report(dialog_id="chat2935")
    def weekly() -> dict:
        return {
            "message": "second",
            "attach": [{"MESSAGE": "a"}],
            "keyboard": [{"TEXT": "b", "LINK": "https://example.com/"}],
            "menu": [{"TEXT": "c", "LINK": "https://example.com/"}],
            "system": True,
            "url_preview": False,
            "reply_id": first,
        }

    run(weekly)
    sent = portal.calls[-1].params
    assert (sent["MESSAGE"], sent["SYSTEM"], sent["URL_PREVIEW"], sent["REPLY_ID"]) == ("second", "Y", "N", first)
    assert {"ATTACH", "KEYBOARD", "MENU"} <= set(sent)


def test_an_attachment_alone(portal, run):
    run(report(lambda: {"attach": [{"MESSAGE": "a"}]}))
    assert "MESSAGE" not in portal.calls[-1].params


def test_a_function_that_says_it_returns_a_mapping(portal, run):
    """From that Airflow infers that the result is to be split into several; but the result is a message id."""

    @task.bitrix24_report(dialog_id="chat2935")
    def weekly() -> Mapping[str, Any]:
        return {"message": "text"}

    assert isinstance(run(weekly), int)
    assert operator_of(weekly()).multiple_outputs is False
    assert report(multiple_outputs=True)().operator.multiple_outputs is False


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            None,
            "the function returned NoneType: file is a NoneType. A report returns its text; a mapping with 'message'",
        ),
        (5, "the function returned int: file is a int. A report returns its text"),
        (["a"], "the function returned list: file is a list. A report returns its text"),
        (b"bytes", "the function returned bytes: file is bytes, and there is no name"),
        ({"file": 5, "message": "x"}, "a mapping whose file is int"),
        (
            {"file": "x.csv", "keyboard": []},
            "a mapping with keyboard and file. It may have file, message, markdown, mentions, name",
        ),
        (
            {"table": [], "reply_id": 5},
            "a mapping with reply_id and table. It may have table, message, markdown, mentions, name",
        ),
        ({"table": [{"a": 1}], "message": 5}, "message is a int"),
        ("", "message is empty, and there is no attach"),
        ({}, "message is empty, and there is no attach"),
        ({"message": ""}, "message is empty, and there is no attach"),
        (
            {"text": "a", "Message": "b"},
            "returned a mapping with Message, text. It may have message, markdown",
        ),
        ({"message": 5}, "message is a int"),
        ({"message": "x", "keyboard": 5}, "keyboard is a int"),
        ({"message": "x" * 20_001, "long_text": "refuse"}, "20,001 characters"),
        ({"message": "x", "long_text": "cut"}, "long_text is 'cut'"),
    ],
)
def test_what_can_not_be_posted_fails_without_retries(portal, run, result, words):
    with pytest.raises(AirflowFailException) as caught:
        run(report(lambda: result))
    assert words in str(caught.value)
    assert texts(portal) == []


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("error", [ValueError("no data"), AirflowSkipException("nothing new"), KeyboardInterrupt()])
def test_if_the_function_fails_nothing_is_posted(portal, run, asynchronous, error):
    def weekly():
        raise error

    async def aweekly():
        raise error

    with pytest.raises(type(error)):
        run(report(aweekly if asynchronous else weekly))
    assert [call.method for call in portal.calls] in ([], ["im.dialog.writing"])
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "bitrix24-typing"])


def test_what_the_function_is_refused_for_good_fails_without_retries(portal, run):
    portal.scopes = ["im"]

    def deals():
        return str(len(list(Bitrix24Hook().iterate("crm.item.list", {"entityTypeId": 2}))))

    with pytest.raises(AirflowFailException, match="insufficient_scope"):
        run(report(deals))
    assert texts(portal) == []


def test_a_lost_answer_is_settled(portal, run):
    portal.faults.add(Fault("reset_after", "im.message.add"))
    assert run(report()) == portal.messages("chat2935")[0].id
    assert texts(portal) == ["text"]


def test_what_the_dialog_does_not_tell_fails_without_retries(portal, run):
    portal.faults.add(Fault("reset_after", "im.message.add"))
    portal.faults.add(Fault("error", "im.dialog.messages.get", times=None, code="ACCESS_ERROR", status=403))
    with pytest.raises(AirflowFailException, match=r"whether it was posted is not known.*Look in the dialog"):
        run(report())
    assert texts(portal) == ["text"]


def test_the_indicators_trouble_is_none_of_the_reports(portal, run):
    portal.faults.add(Fault("error", "im.dialog.writing", times=None, code="ACCESS_ERROR", status=403))
    assert run(report())
    assert texts(portal) == ["text"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"bitrix24_conn_id": "nowhere"}, "Airflow has no connection 'nowhere'"),
        ({"dialog_id": "{{ x }}"}, "dialog_id is '{{ x }}'"),
    ],
)
def test_what_can_not_work_fails_before_the_work(portal, run, arguments, words):
    worked = []
    with pytest.raises(AirflowFailException) as caught:
        run(report(lambda: worked.append(1), **arguments))
    assert words in str(caught.value)
    assert worked == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dialog_id": "CHAT5"}, "dialog_id is 'CHAT5'"),
        ({"dialog_id": None}, "dialog_id is None"),
        ({"interval": 60}, "interval is 60.0"),
        ({"interval": dt.timedelta(seconds=1)}, "interval is 1.0"),
        ({"interval": "12"}, "interval is '12'"),
        ({"status": "DREAMING"}, "status is 'DREAMING'"),
        ({"as_bot": "no"}, "as_bot is 'no'"),
        ({"markdown": "no"}, "markdown is 'no'"),
        ({"mentions": "no"}, "mentions is 'no'"),
    ],
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(dag, arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        report(**arguments)()
    assert words in str(caught.value)


def test_without_a_dialog(dag):
    with pytest.raises(TypeError, match="dialog_id"):
        task.bitrix24_report()(lambda: "text")()


def test_where_it_is_named_by_what_it_belongs_to(portal, run):
    run(report(dialog_id="deal:1663"))
    assert texts(portal, "chat2939") == ["text"]


def test_as_a_bot_while_it_runs(portal, connect, run):
    connect(portal.bot_connection())

    def weekly():
        eventually(lambda: portal.signals("chat2935"))
        return "text"

    run(report(weekly, status="CALCULATING"))
    (signal,) = portal.signals("chat2935")
    (message,) = portal.messages("chat2935")
    assert (signal.status, signal.author_id, message.author_id) == ("IMBOT_AGENT_ACTION_CALCULATING", 101, 101)


def test_as_the_account_in_spite_of_a_bot(portal, connect, run):
    connect(portal.bot_connection())

    def weekly():
        eventually(lambda: portal.signals("chat2935"))
        return "text"

    run(report(weekly, as_bot=False))
    assert (portal.signals("chat2935")[0].author_id, portal.messages("chat2935")[0].author_id) == (1, 1)


# ---- as a task


def test_arguments_of_the_function(portal, run):
    assert run(report(lambda a, b=2, *, c=3: f"{a} {b} {c}"), 5, c=7)
    assert texts(portal) == ["5 2 7"]


def test_the_function_gets_what_it_asks_of_the_context(portal, dag, context):
    operator = report(lambda params, ti: f"{params['week']} {ti.task_id}")().operator
    operator.execute({**context, "params": {"week": 7}})
    assert texts(portal) == ["7 typing"]


def test_what_is_rendered(dag):
    operator = report(
        lambda week, notes: "x",
        dialog_id="{{ dialog }}",
        bitrix24_conn_id="{{ conn }}",
        templates_dict={"a": "{{ x }}"},
    )("{{ ds }}", notes=["{{ x }}"]).operator
    operator.render_template_fields({"dialog": "chat7", "conn": "other", "ds": "2026-10-01", "x": "y"})
    assert (operator.dialog_id, operator.bitrix24_conn_id) == ("chat7", "other")
    assert operator.op_args == ("2026-10-01",)
    assert operator.op_kwargs == {"notes": ["y"]}
    assert operator.templates_dict == {"a": "y"}


def test_results_of_other_tasks(dag):
    first: Any = RestOperator(task_id="first", method="profile")
    second: Any = RestOperator(task_id="second", method="profile")
    operator = report(lambda deals: "x", dialog_id=second.output["dialog"])(first.output).operator
    assert operator.upstream_task_ids == {"first", "second"}


def test_options_of_the_task(dag):
    @task.bitrix24_report(dialog_id="chat5", interval=dt.timedelta(seconds=10), status="reading_docs", retries=3)
    def weekly():
        return "text"

    operator = operator_of(weekly())
    assert isinstance(operator, Bitrix24ReportOperator)
    assert (operator.task_id, operator.retries, operator.interval) == ("weekly", 3, 10.0)
    assert operator.status == "READING_DOCS"
    assert operator.custom_operator_name == "@task.bitrix24_report"
    again = operator_of(weekly.override(task_id="other", dialog_id="13", retries=0)())
    assert (again.task_id, again.dialog_id, again.retries) == ("other", "13", 0)
    assert operator_of(weekly()).task_id == "weekly__1"


def test_mapped_over_arguments(dag, portal, context):
    mapped = report(lambda region, week: f"{region} {week}").partial(week=5).expand(region=["north", "south"]).operator
    assert list(mapped.iter_mapped_dependencies()) == []
    operator = mapped.unmap({"op_kwargs": {"region": "south", "week": 5}})
    operator.execute(context)
    assert texts(portal) == ["south 5"]
    assert operator.multiple_outputs is False


def test_mapped_over_results(dag):
    @task
    def regions():
        return ["north", "south"]

    mapped = report(lambda region: region).expand(region=regions()).operator
    assert mapped.upstream_task_ids == {"regions"}


def test_through_the_database():
    with DAG("dag", start_date=dt.datetime(2026, 1, 1)) as dag:

        @task.bitrix24_report(dialog_id="chat5", interval=10)
        def weekly(week):
            return "text"

        weekly(5)
        weekly.override(task_id="mapped").expand(week=[1, 2])
    written = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    tasks: Mapping[str, Any] = DagSerialization.from_dict(written).task_dict
    assert tasks["weekly"].dialog_id == "chat5"
    assert tasks["weekly"].task_type == "Bitrix24ReportOperator"
    assert tasks["mapped"].is_mapped


class TestResults:
    """What a function may return besides its text."""

    ROWS = ({"Stage": "Won", "Sum": 12_345.6}, {"Stage": "Lost", "Sum": 7})

    @pytest.fixture(params=[False, True], ids=["account", "bot"])
    def author(self, request, portal, connect):
        if request.param:
            connect(portal.bot_connection())
        return 101 if request.param else 1

    @staticmethod
    def file_of(portal):
        (message,) = portal.messages("chat2935")
        (card,) = message.files
        return message.text, card["name"], portal.company.files[card["id"]].content

    def test_a_table(self, portal, run, author):
        made = text.table(self.ROWS, title="Deals [b]")
        message_id = run(report(lambda: made))
        (message,) = portal.messages("chat2935")
        assert (message.id, message.author_id, message.text) == (message_id, author, "")
        assert message.params["ATTACH"] == made.attach()

    def test_a_table_with_a_text(self, portal, run):
        run(report(lambda: {"table": self.ROWS, "message": "**Deals**"}, markdown=True))
        (message,) = portal.messages("chat2935")
        assert message.text == "[b]Deals[/b]"
        assert message.params["ATTACH"] == text.table(self.ROWS).attach()

    @pytest.mark.parametrize(
        ("given", "caption"),
        [({}, "[b]Deals[/b]"), ({"message": "**All** deals", "markdown": True}, "[b]All[/b] deals")],
        ids=["title", "text"],
    )
    def test_a_table_that_is_too_large_is_a_file(self, portal, run, given, caption):
        made = text.table([{"Number": number} for number in range(100)], title="Deals")
        message_id = run(report(lambda: {"table": made, "name": "deals.csv", **given} if given else made))
        assert self.file_of(portal) == (caption, "deals.csv" if given else "table.csv", made.csv())
        assert portal.messages("chat2935")[0].id == message_id

    def test_a_file(self, portal, run, tmp_path):
        path = tmp_path / "report.pdf"
        path.write_bytes(b"%PDF")
        run(report(lambda: path))
        assert self.file_of(portal) == ("", "report.pdf", b"%PDF")

    def test_a_dataframe_or_a_figure_as_it_is(self, portal, run):
        import pandas
        from matplotlib.figure import Figure

        frame = pandas.DataFrame([*self.ROWS])
        figure = Figure()
        figure.subplots().plot([1, 3, 2])
        run(report(lambda: frame, task_id="frame"))
        run(report(lambda: figure, task_id="figure"))
        files = [card for message in portal.messages("chat2935") for card in message.files]
        assert [card["name"] for card in files] == ["table.csv", "figure.png"]
        contents = [portal.company.files[card["id"]].content for card in files]
        assert contents[0].decode("utf-8-sig") == "Stage,Sum\nWon,12345.6\nLost,7.0\n"
        assert contents[1].startswith(b"\x89PNG")

    def test_a_file_with_a_text(self, portal, run):
        given = {"file": b"a,b", "name": "a.csv", "message": "*Figures*"}
        run(report(lambda: given, markdown=True))
        assert self.file_of(portal) == ("[i]Figures[/i]", "a.csv", b"a,b")

    def test_a_retry_returns_the_message_with_the_file(self, portal, context):
        class Accessor(dict):
            def set(self, key, value):
                self[key] = json.loads(json.dumps(value))

        context["task_state_store"] = Accessor()
        context["ti"].max_tries = 2
        calls = []

        def figures():
            calls.append(1)
            return {"file": b"a,b", "name": "a.csv"}

        operator = operator_of(report(figures)())
        portal.faults.add(Fault("reset_after", "im.v2.File.upload"))
        first = operator.execute(context)
        assert operator.execute(context) == first
        assert (len(portal.messages("chat2935")), len(calls)) == (1, 1)

    @pytest.mark.parametrize(
        ("arguments", "result", "messages"),
        [
            ({}, "word " * 5000, 1),
            ({"long_text": "split"}, "word " * 5000, 2),
            ({"long_text": "refuse"}, {"message": "word " * 5000, "long_text": "split"}, 2),
        ],
        ids=["file", "split", "as the function says"],
    )
    def test_a_long_text(self, portal, run, arguments, result, messages):
        first = run(report(lambda: result, **arguments))
        posted = portal.messages("chat2935")
        assert (len(posted), posted[0].id) == (messages, first)
        assert [len(message.files) for message in posted] == ([1] if messages == 1 else [0, 0])

    def test_markdown_or_not_as_the_function_says(self, portal, run):
        run(report(lambda: "**a**", markdown=True))
        run(report(lambda: {"message": "**b**", "markdown": False}, task_id="second", markdown=True))
        assert texts(portal) == ["[b]a[/b]", "**b**"]

    def test_people_are_mentioned(self, portal, run):
        run(report(lambda: "for @anna@example.com", mentions=True))
        given = {"file": b"a,b", "name": "a.csv", "message": "for @anna@example.com"}
        run(report(lambda: given, task_id="second", mentions=True))
        assert texts(portal) == ["for [user=1]Anna Petrova[/user]"] * 2

    def test_no_such_way_for_a_long_text(self):
        with pytest.raises(ConfigurationError, match="long_text is 'cut'"):
            report(long_text="cut")()
