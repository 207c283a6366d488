"""SqlToDialogOperator: a query of a real database, posted to a portal over HTTP."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import tracemalloc
from itertools import count
from typing import Any

import pytest
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.sdk._shared.providers_discovery import HookInfo
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.testing import Fault
from airflow_provider_b24.transfers.sql_to_dialog import SqlToDialogOperator
from tests.unit.operators.test_deferral import deferred, lasting, meanwhile

__all__ = ["lasting", "meanwhile"]

ZERO, NARROW = "\u200b", "\u202f"


class Sqlite(DbApiHook):
    """A database's hook, as its provider would have it."""

    conn_type = "sqlite3"
    conn_name_attr = "sqlite3_conn_id"
    default_conn_name = "sqlite3_default"
    supports_autocommit = False
    queries: list[Any]
    schema: str | None

    def __init__(self, *args: Any, queries: list[Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queries = QUERIES if queries is None else queries
        self.schema = None

    def get_conn(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")
        connection.set_trace_callback(self.queries.append)
        if self.schema:
            connection.execute(f"CREATE TABLE sales AS SELECT '{self.schema}' AS name")
        return connection


QUERIES: list[Any] = []


@pytest.fixture(autouse=True)
def database(monkeypatch):
    """The connection ``warehouse``; the statements that came to it."""
    hooks = ProvidersManagerTaskRuntime().hooks
    info = HookInfo(f"{__name__}.Sqlite", "sqlite3_conn_id", "test", "SQLite", "sqlite3", False, [])
    monkeypatch.setitem(hooks, "sqlite3", info)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite3"}))
    QUERIES.clear()
    return QUERIES


TWO = "SELECT 'Москва [b]x[/b]' AS город, 1234567.5 AS сумма UNION ALL SELECT 'Казань', NULL ORDER BY 2 DESC"
MANY = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i, 'строка ' || i AS t FROM n"
)
NONE = "SELECT 1 AS x WHERE 0"


_numbers = count()


def sent(sql=TWO, **arguments):
    fields = {
        "task_id": f"sql{next(_numbers)}",
        "conn_id": "warehouse",
        "dialog_id": "chat2935",
        "typing": False,
        **arguments,
    }
    return SqlToDialogOperator(sql=sql, **fields)


def content(portal, message):
    (card,) = message.files
    return portal.company.files[card["id"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sql": " "}, "sql is empty. Give a query"),
        ({"sql": []}, "sql is empty. Give a query"),
        ({"dialog_id": "x"}, "dialog_id is 'x', which names no dialog"),
        ({"send_as": "excel"}, "send_as is 'excel'. It can be 'auto', 'table', 'file', 'both'."),
        ({"empty": "ignore"}, "empty is 'ignore'. It can be 'send', 'skip', 'fail'."),
        ({"language": "de"}, "language is 'de'"),
        (
            {"file_name": "report"},
            "file_name is 'report'. Its ending is the format of the file: .csv, .xlsx, .parquet.",
        ),
        ({"file_name": "a/b.csv"}, "file_name is 'a/b.csv'"),
        ({"message": "x" * 20_001}, "message has 20,001 characters"),
        ({"conn_id": ""}, "conn_id is ''. Name the Airflow connection of the database."),
        ({"conn_id": None}, "conn_id is None"),
        ({"typing": "no"}, "typing is 'no'"),
        ({"as_bot": "no"}, "as_bot is 'no'"),
        ({"markdown": "no"}, "markdown is 'no'"),
        ({"mentions": "no"}, "mentions is 'no'"),
    ],
    ids=range(15),
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        sent(**arguments)
    assert words in str(caught.value)


def test_templates_are_rendered_once_and_checked_when_the_task_runs(dag, tmp_path):
    first: Any = RestOperator(task_id="first", method="profile")
    operator = sent("{{ table }}", dialog_id="{{ x }}", file_name="{{ ds }}.csv", parameters=first.output)
    assert operator.upstream_task_ids == {"first"}
    operator = sent(
        "SELECT {{ n }}",
        dialog_id="chat{{ n }}",
        parameters={"a": "{{ ds }}"},
        title="{{ ds }}",
        message="{{ raw }}",
        file_name="{{ ds }}.csv",
        conn_id="{{ conn }}",
    )
    operator.render_template_fields({"n": 5, "ds": "2026-01-31", "raw": "{{ ds }}", "conn": "other"})
    assert (operator.sql, operator.dialog_id, operator.parameters) == ("SELECT 5", "chat5", {"a": "2026-01-31"})
    assert (operator.title, operator.message, operator.file_name) == ("2026-01-31", "{{ ds }}", "2026-01-31.csv")
    assert (operator.conn_id, operator.template_ext) == ("other", (".sql",))


def test_a_rendered_name_without_a_format(portal, context, database):
    operator = sent(file_name="{{ x }}")
    operator.file_name = "result"
    with pytest.raises(AirflowFailException, match="Its ending is the format"):
        operator.execute(context)
    assert database == []


def test_a_connection_that_is_rendered_to_nothing(portal, context, database):
    operator = sent(conn_id="{{ x }}")
    operator.conn_id = ""
    with pytest.raises(AirflowFailException, match="Name the Airflow connection of the database"):
        operator.execute(context)
    assert database == portal.calls == []


def test_a_small_result_is_a_table(portal, context):
    message_id = sent(title="Продажи [i]", message="за [b]январь[/b]", language="ru").execute(context)
    (message,) = portal.messages("chat2935")
    assert message.id == message_id
    pad = NARROW.join(["\u2007", "\u2007" * 3, "\u2007" * 3]) + "\u2008"
    assert message.text == f"[b]Продажи [{ZERO}i][/b]\nза [b]январь[/b]"
    assert message.params["ATTACH"] == [
        {
            "GRID": [
                {"DISPLAY": "ROW", "NAME": "город", "VALUE": "[b]сумма[/b]"},
                {
                    "DISPLAY": "ROW",
                    "NAME": f"Москва [{ZERO}b]x[{ZERO}/b]",
                    "VALUE": f"1{NARROW}234{NARROW}567,5",
                },
                {"DISPLAY": "ROW", "NAME": "Казань", "VALUE": f"{ZERO}{pad}–"},
            ]
        }
    ]


@pytest.mark.parametrize("way", ["table", "file"])
def test_title_and_text_may_be_markdown_and_mention_people(portal, context, way):
    words = {"title": "Sales of **@anna@example.com**", "message": "_today_", "markdown": True, "mentions": True}
    sent(**words, send_as=way).execute(context)
    sent(NONE, **words, send_as=way).execute(context)
    for message in portal.messages("chat2935"):
        assert message.text.startswith("[b]Sales of [user=1]Anna Petrova[/user][/b]\n[i]today[/i]")


def test_a_wide_result_is_a_table_in_letters_of_one_width(portal, context):
    sent("SELECT 1 AS a, 2 AS b, 3 AS c, 4 AS d, 5 AS e, 'x' AS f").execute(context)
    (message,) = portal.messages("chat2935")
    assert message.text == "[code]a  b  c  d  e  f\n─  ─  ─  ─  ─  ─\n1  2  3  4  5  x[/code]"


def test_a_long_result_is_a_file(portal, context):
    message_id = sent(MANY.format(12345), language="ru", title="Все", file_name="все.csv").execute(context)
    (message,) = portal.messages("chat2935")
    assert (message.id, message.text) == (message_id, f"[b]Все[/b]\nСтрок: 12{NARROW}345")
    stored = content(portal, message)
    rows = list(csv.reader(io.StringIO(stored.content.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert (stored.name, len(rows), rows[0], rows[-1]) == ("все.csv", 12346, ["i", "t"], ["12345", "строка 12345"])


def test_a_table_and_a_file_are_one_message(portal, context):
    sent(MANY.format(11), send_as="both", message="numbers").execute(context)
    (message,) = portal.messages("chat2935")
    text = message.text
    assert text.startswith("numbers\n[code] i  t\n──  ─────────\n 1  строка 1\n")
    assert text.endswith("10  строка 10[/code]\n… the first 10 of 11 rows")
    assert content(portal, message).content.count(b"\r\n") == 12


def test_a_file_of_few_rows(portal, context):
    sent(send_as="file").execute(context)
    (message,) = portal.messages("chat2935")
    assert message.text == "Rows: 2"
    assert content(portal, message).content.decode("utf-8-sig").splitlines()[0] == "город,сумма"


def test_a_table_that_is_too_much_is_refused_without_retries(portal, context):
    with pytest.raises(AirflowFailException, match="the table has 1,001 rows or more, too much for a message"):
        sent(MANY.format(2000), send_as="table").execute(context)
    with pytest.raises(AirflowFailException, match="the table has 900 rows, too much for a message"):
        sent(MANY.format(900).replace("'строка '", "hex(zeroblob(20))"), send_as="table").execute(context)
    assert portal.messages("chat2935") == []
    # but it may be longer and wider than people like
    sent(MANY.format(100), send_as="table").execute(context)
    (message,) = portal.messages("chat2935")
    assert message.text.count("\n") == 101


@pytest.mark.parametrize(
    ("way", "words"), [("auto", "The query returned no rows."), ("file", "The query returned no rows.")]
)
def test_no_rows_are_told(portal, context, way, words):
    sent(NONE, title="T", send_as=way).execute(context)
    (message,) = portal.messages("chat2935")
    assert message.text == f"[b]T[/b]\n{words}"


def test_no_rows_skip_or_fail(portal, context):
    with pytest.raises(AirflowSkipException):
        sent(NONE, empty="skip").execute(context)
    with pytest.raises(AirflowException, match="no rows") as caught:
        sent(NONE, empty="fail").execute(context)
    assert not isinstance(caught.value, AirflowFailException)
    assert portal.messages("chat2935") == []


def test_parameters_several_statements_and_another_database(portal, context, database):
    statements = ["CREATE TABLE t AS SELECT :a AS v", "SELECT v, :b AS w FROM t", "DROP TABLE t"]
    sent(statements, parameters={"a": 5, "b": "'; x"}).execute(context)
    sent("SELECT name FROM sales", database="archive").execute(context)
    first, second = portal.messages("chat2935")
    assert first.params["ATTACH"][0]["GRID"][1]["VALUE"] == "'; x"
    assert second.params["ATTACH"][0]["GRID"][1]["VALUE"] == "archive"


def test_hook_params_reach_the_databases_hook(portal, context):
    own: list[str] = []
    sent(hook_params={"queries": own}).execute(context)
    assert TWO in own
    assert QUERIES == []


def test_what_is_no_query(portal, context):
    with pytest.raises(AirflowFailException, match="sql returns nothing that could be posted"):
        sent("CREATE TABLE t (x)").execute(context)
    assert portal.calls == []


def test_a_query_that_fails_posts_nothing_and_is_tried_again(portal, context):
    with pytest.raises(sqlite3.OperationalError):
        sent("SELECT * FROM nothing").execute(context)
    assert portal.messages("chat2935") == []


def test_the_indicator_is_lit_while_the_query_runs(portal, context):
    sent(typing=True).execute(context)
    assert portal.chat("chat2935").signals or any(call.method == "im.dialog.writing" for call in portal.calls)


def test_as_the_bot(portal, context, connect):
    connect(portal.bot_connection())
    sent().execute(context)
    sent(send_as="file").execute(context)
    assert [message.author_id for message in portal.messages("chat2935")] == [101, 101]


class TestTries:
    @pytest.fixture
    def store(self, context):
        class Accessor(dict):
            def set(self, key, value):
                self[key] = json.loads(json.dumps(value))

        context["task_state_store"] = Accessor()
        context["ti"].max_tries = 2
        context["ti"].id = "0199-1"
        return context["task_state_store"]

    @pytest.mark.parametrize("way", ["table", "file", "both"])
    def test_a_retry_runs_no_query_if_the_message_is_there(self, portal, context, store, database, way):
        operator = sent(send_as=way)
        first = operator.execute(context)
        ran = len(database)
        context["ti"].try_number = 2
        assert operator.execute(context) == first
        assert len(database) == ran
        assert len(portal.messages("chat2935")) == 1
        context["ti"].max_tries = 3
        assert operator.execute(context) != first

    @pytest.mark.parametrize(("way", "method"), [("table", "im.message.add"), ("file", "im.v2.File.upload")])
    def test_an_answer_that_is_lost(self, portal, context, store, way, method):
        portal.faults.add(Fault("reset_after", method=method))
        message_id = sent(send_as=way).execute(context)
        assert [message.id for message in portal.messages("chat2935")] == [message_id]


def test_the_slot_is_given_back_while_the_portal_takes_no_messages(meanwhile, context, database):
    meanwhile.use_up("im.message.add")
    operator = sent("SELECT 1 AS x")
    _, kept = deferred(operator, context)
    assert database.count("SELECT 1 AS x") == 1
    meanwhile.ahead += 600
    operator.resume(context, None, **kept)
    assert database.count("SELECT 1 AS x") == 2
    assert len(meanwhile.portal.messages("chat2935")) == 1


def test_a_large_result_does_not_stand_in_memory(portal, tmp_path):
    # the portal of the tests is in this process: only the query is measured
    query = MANY.format(30_000).replace("'строка '", "hex(zeroblob(200))")
    operator = sent(query, send_as="file")
    # what is imported by the first query of all is not what is measured
    sent(MANY.format(2_000), send_as="file")._queried(str(tmp_path))
    tracemalloc.start()
    result = operator._queried(str(tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.count == 30_000
    assert (tmp_path / "result.csv").stat().st_size > 12_000_000
    assert peak < 4_000_000
