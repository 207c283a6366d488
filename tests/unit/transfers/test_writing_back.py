"""SqlToBitrix24Operator and ObjectStorageToBitrix24Operator: databases and files, written to a portal over HTTP."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
from collections import Counter
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.clock import SystemClock
from airflow_provider_b24.rest.errors import ConfigurationError, FileError, LimitError, NotSentError
from airflow_provider_b24.testing import Fault
from airflow_provider_b24.transfers.object_storage_to_bitrix24 import ObjectStorageToBitrix24Operator
from airflow_provider_b24.transfers.sql_to_bitrix24 import SqlToBitrix24Operator
from tests.databases import Database, connected
from tests.portal.hook.test_lineage import reader
from tests.unit.operators.loads import Killed, Store, deals, deals_anew, run_of
from tests.unit.operators.test_deferral import deferred, lasting, meanwhile

__all__ = ["lasting", "meanwhile", "reader"]

DEALS = {"entityTypeId": 2}
SCORES = "SELECT id, score AS opportunity FROM scores ORDER BY id"
NEW = "SELECT id AS \"originId\", 'deal ' || id AS title FROM scores ORDER BY id"


@pytest.fixture
def portal(meanwhile: Any) -> Any:
    """A portal without deals, where waiting takes no time."""
    deals_anew(meanwhile.portal, 0)
    meanwhile.portal.faults.clear()
    yield meanwhile.portal
    meanwhile.portal.faults.clear()


@pytest.fixture
def database(request: Any, tmp_path: Any, monkeypatch: Any) -> Database:
    return scores(connected("sqlite", request, tmp_path, monkeypatch), 120)


def scores(database: Database, count: int) -> Database:
    database.query("DROP TABLE IF EXISTS scores")
    database.query("CREATE TABLE scores (id INTEGER, score NUMERIC(12, 2))")
    values = ", ".join(f"({number}, {number}.25)" for number in range(1, count + 1))
    database.query(f"INSERT INTO scores VALUES {values}")
    return database


def sql(query=SCORES, **arguments):
    return SqlToBitrix24Operator(task_id="back", **{"sql": query, "conn_id": "warehouse", "params": DEALS, **arguments})


def files(path, **arguments):
    return ObjectStorageToBitrix24Operator(
        task_id="back", **{"path": path, "params": DEALS, "method": "crm.item.add", **arguments}
    )


def told(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def titles(portal):
    return Counter(row["title"] for row in deals(portal).values())


@pytest.mark.parametrize("kind", ["sqlite", "psycopg", "psycopg2"])
def test_deals_are_updated_by_a_query(portal, request, tmp_path, monkeypatch, kind):
    scores(connected(kind, request, tmp_path, monkeypatch), 120)
    portal.add_deals(120)
    result = sql().execute(run_of())
    seconds = result.pop("seconds")
    assert result == {"rows": 120, "created": 0, "updated": 120, "rejected": 0, "unknown": 0}
    assert 0 <= seconds < 60
    assert {number: row["opportunity"] for number, row in deals(portal).items()} == {
        number: number + 0.25 for number in range(1, 121)
    }
    assert Counter(call.method for call in portal.calls) == {"batch": 3, "crm.item.update": 120}


def test_deals_are_added_and_with_a_key_only_those_that_are_not_there(portal, database):
    result = sql(NEW, method="crm.item.add").execute(run_of())
    assert (result["created"], result["updated"]) == (120, 0)
    result = sql(NEW, method="crm.item.add", key="originId").execute(run_of())
    assert (result["created"], result["updated"]) == (0, 120)
    scores(database, 130)
    result = sql(NEW, method="crm.item.add", key="originId").execute(run_of("another"))
    assert (result["created"], result["updated"]) == (10, 120)
    assert len(deals(portal)) == 130


def written(path, kind):
    rows = [
        {"title": f"Сделка {number}", "opportunity": number / 4, "isManualOpportunity": True} for number in range(7)
    ]
    name = path / f"deals.{kind}"
    if kind.startswith("jsonl"):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in rows).encode()
        name.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
    elif kind.startswith("csv"):
        with (gzip.open if kind.endswith("gz") else open)(name, "wt", encoding="utf-8-sig", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows({**row, "isManualOpportunity": "Y"} for row in rows)
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), name)
    return name


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "csv", "csv.gz", "parquet"])
def test_deals_are_added_from_a_file(portal, tmp_path, kind):
    result = files(str(written(tmp_path, kind))).execute(run_of())
    assert (result["rows"], result["created"]) == (7, 7)
    assert [(row["title"], row["opportunity"], row["isManualOpportunity"]) for row in deals(portal).values()] == [
        (f"Сделка {number}", number / 4, "Y") for number in range(7)
    ]


def test_a_cell_may_be_as_long_as_it_likes(portal, tmp_path):
    (tmp_path / "x.csv").write_text(f"title,comments\nx,{'y' * 200_000}\n")
    assert files(str(tmp_path / "x.csv")).execute(run_of())["created"] == 1
    (deal,) = deals(portal).values()
    assert len(deal["comments"]) == 200_000


def test_several_files_are_read_in_the_order_of_their_names(portal, tmp_path):
    for number in (3, 1, 2):
        (tmp_path / f"part-{number}.txt").write_text(f"title;x\n{number};1\n")
    operator = files(f"file://{tmp_path}/part-*.txt", format="csv", delimiter=";", columns={"title": "title"})
    assert operator.execute(run_of())["created"] == 3
    assert [row["title"] for row in deals(portal).values()] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.jsonl", '{"title": 1}\n[2]\n', "line 2 of x.jsonl is no JSON object"),
        ("x.jsonl", "{\n", "line 1 of x.jsonl is no JSON object"),
        ("x.csv", "a,b\n1,2\n1\n", "line 3 of x.csv has another number of cells"),
        ("x.csv", "a,b\n1,2,3\n", "line 2 of x.csv has another number of cells"),
        ("x.csv", "title,title\n1,2\n", "x.csv has two columns 'title'"),
    ],
    ids=range(5),
)
def test_a_file_that_is_none_is_told_by_its_line(portal, tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(AirflowFailException, match=words):
        files(str(tmp_path / name), row=lambda record: {"fields": record}).execute(run_of())


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x.jsonl.gz", gzip.compress(b'{"title": "x"}\n' * 1000)[:-20], r"x\.jsonl\.gz is no whole gzip"),
        ("x.csv.gz", b"title\nx\n", r"x\.csv\.gz is no whole gzip"),
        ("x.csv", "title\nЖ\n".encode("cp1251"), r"x\.csv is no whole text in UTF-8"),
        ("x.parquet", b"PAR1", r"x\.parquet is no whole Parquet"),
    ],
    ids=range(4),
)
def test_a_broken_file_is_named_and_not_tried_again(portal, tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(AirflowFailException, match=words):
        files(str(tmp_path / name)).execute(run_of())


def test_a_file_that_is_not_there_yet_is_named_and_the_retries_apply(portal, tmp_path):
    with pytest.raises(FileError, match=r"there is no file .*x\.jsonl"):
        files(f"{tmp_path}/x.jsonl").execute(run_of())


def test_without_files_the_retries_apply(portal, tmp_path):
    with pytest.raises(FileError, match=r"there is no file none-\*.csv"):
        files(f"{tmp_path}/none-*.csv").execute(run_of())


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (sql, {"method": "crm.item"}, "it is not known where this method has the values"),
        (sql, {"method": "user.add"}, "it is not known where this method has the values"),
        (sql, {"row": 7}, "row is a int"),
        (sql, {"row": dict, "columns": {"a": "b"}}, "row and columns are given"),
        (sql, {"columns": {}}, "columns is {}"),
        (sql, {"params": [1]}, "params is a list"),
        (sql, {"max_rejected": True}, "max_rejected is True"),
        (sql, {"max_rejected": -1}, "max_rejected is -1"),
        (sql, {"max_rejected": 1.5}, "max_rejected is 1.5"),
        (sql, {"key": 7}, "key is 7"),
        (sql, {"key": "XML_ID", "method": "user.add", "row": dict}, "can not be found by a key"),
        (sql, {"parallel": 41}, "parallel is 41"),
        (sql, {"conn_id": ""}, "conn_id is ''"),
        (sql, {"query": " "}, "sql is empty"),
        (files, {"path": "x.xlsx"}, "the format of 'x.xlsx' is not told by its ending"),
        (files, {"path": "x.csv", "format": "xml"}, "format is 'xml'"),
        (files, {"path": "x.csv", "delimiter": ""}, "delimiter is ''"),
        (files, {"path": "x.csv", "delimiter": '"'}, "delimiter is '\"'"),
        (files, {"path": 5}, "path is 5"),
        (files, {"path": "/a/x.jsonl", "rejects_path": "file:///a/b/../x.jsonl"}, "which is read from"),
        (files, {"path": "/a/*.jsonl", "rejects_path": "/a/rejects.jsonl"}, "which is read from"),
        (files, {"path": "s3://conn@b/x.jsonl", "rejects_path": "s3://b/x.jsonl"}, "which is read from"),
        (sql, {"max_rejected": float("nan")}, "max_rejected is nan"),
        (sql, {"max_rejected": float("inf")}, "max_rejected is inf"),
        (sql, {"key": ("originId", "originId")}, "key is ('originId', 'originId')"),
        (sql, {"key": "originId", "columns": {"a": "title"}}, "key has 'originId', and columns sends nothing there"),
        (sql, {"columns": {"a": "title", "b": "title"}}, "columns sends 'a' and 'b' to the field 'title'"),
        (sql, {"columns": {"a": 5}}, "columns has 'a': 5"),
        (sql, {"query": 5}, "sql is 5"),
        (sql, {"hook_params": "x"}, "hook_params is 'x'"),
        (sql, {"rejects_path": 5}, "rejects_path is 5"),
    ],
    ids=range(31),
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(make, arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        make(**arguments)
    assert words in str(caught.value)


def test_they_can_be_serialised_and_templated():
    with DAG("dag") as dag:
        sql(sql="{{ ds }}", rejects_path="s3://{{ ds }}", method="{{ ds }}")
        ObjectStorageToBitrix24Operator.partial(task_id="mapped", params=DEALS).expand(path=["a.csv", "b.csv"])
    again = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert again.task_dict["back"].template_fields
    assert {"sql", "rest_params", "rejects_path"} <= set(SqlToBitrix24Operator.template_fields)


def test_values_arrive_as_the_portal_takes_them(portal, tmp_path, monkeypatch):
    rows = [
        {"id": 1, "opportunity": Decimal("12.50"), "comments": "a\nb & c", "opened": False},
        {"id": 2, "opportunity": None, "comments": None, "opened": True},
        {"id": 3, "begindate": dt.date(2026, 5, 4), "comments": dt.datetime(2026, 5, 4, 1, 2, 3, 4, dt.timezone.utc)},
    ]
    portal.add_deals(3)
    operator = sql()
    monkeypatch.setattr(type(operator), "records", lambda _: (row for row in rows))
    assert operator.execute(run_of())["updated"] == 3
    first, second, third = deals(portal).values()
    assert (first["opportunity"], first["comments"], first["opened"]) == (12.5, "a\nb & c", "N")
    assert (second["opportunity"], second["comments"], second["opened"]) == (None, None, "Y")
    assert (third["begindate"][:10], third["comments"]) == ("2026-05-04", "2026-05-04T01:02:03+00:00")


class TestRejects:
    """Rows that the portal refuses."""

    def query(self, *bad):
        case = f"CASE WHEN id IN ({', '.join(map(str, bad))}) THEN 'x' ELSE 'WON' END"
        return f"SELECT {case} AS \"stageId\", 'deal ' || id AS title, score AS opportunity FROM scores ORDER BY id"

    def test_they_stand_in_a_file_and_the_task_succeeds_up_to_the_threshold(self, portal, database, tmp_path):
        path = tmp_path / "new" / "rejects.jsonl"
        operator = sql(self.query(7, 101), method="crm.item.add", rejects_path=str(path), max_rejected=2)
        result = operator.execute(run_of())
        assert (result["rows"], result["created"], result["rejected"]) == (120, 118, 2)
        lines = told(path)
        assert {line.pop("description") for line in lines} == {'Invalid value of the field "stageId"'}
        assert lines == [
            {
                "number": number,
                "row": {"stageId": "x", "title": f"deal {number}", "opportunity": number + 0.25},
                "code": "CRM_FIELD_ERROR_VALUE_NOT_VALID",
            }
            for number in (7, 101)
        ]
        assert [file.name for file in path.parent.iterdir()] == ["rejects.jsonl"]

    def test_the_file_of_another_run_goes(self, portal, database, tmp_path):
        path = tmp_path / "rejects.jsonl"
        path.write_text('{"number": 1, "row": {}, "code": "x", "description": "y"}\n')
        sql(self.query(500), method="crm.item.add", rejects_path=f"file://{path}").execute(run_of())
        assert not path.exists()

    def test_a_file_that_is_none_of_rejected_rows_is_left_alone(self, portal, database, tmp_path):
        path = tmp_path / "rejects.jsonl"
        path.write_text('{"title": "x"}\n')
        with pytest.raises(AirflowFailException, match="there is a file which does not hold rejected rows"):
            sql(method="crm.item.add", rejects_path=str(path)).execute(run_of())
        assert path.read_text() == '{"title": "x"}\n'
        assert deals(portal) == {}

    def test_it_is_not_the_file_that_is_read(self, portal, tmp_path):
        path = tmp_path / "deals.jsonl"
        path.write_text('{"title": "x"}\n')
        operator = files("{{ path }}", format="jsonl", rejects_path="{{ path }}")
        operator.path, operator.rejects_path = str(path), f"file://{path}"
        with pytest.raises(AirflowFailException, match="which is read from"):
            operator.execute(run_of())
        assert path.read_text() == '{"title": "x"}\n'
        assert deals(portal) == {}

    def test_half_a_character_is_escaped(self, portal, tmp_path):
        source, path = tmp_path / "deals.jsonl", tmp_path / "rejects.jsonl"
        source.write_text('{"title": "a\\ud83d", "stageId": "x"}\n')
        files(str(source), rejects_path=str(path), max_rejected=1).execute(run_of())
        assert json.loads(path.read_bytes().decode())["row"]["title"] == "a\ud83d"

    def test_beyond_the_threshold_nothing_more_is_sent(self, portal, database, tmp_path, caplog):
        scores(database, 1000)
        path = tmp_path / "rejects.jsonl"
        operator = sql(self.query(7), method="crm.item.add", rejects_path=str(path))
        with pytest.raises(AirflowFailException) as caught:
            operator.execute(run_of())
        assert "1 of 250 rows were rejected, and max_rejected is 0; nothing behind row 250 was sent." in str(
            caught.value
        )
        assert f"They are in {path}." in str(caught.value)
        assert [line["number"] for line in told(path)] == [7]
        assert len(deals(portal)) == 249

    @pytest.mark.parametrize(("share", "fails"), [(0.5, False), (0.4, True), (1.0, False)])
    def test_a_share_counts_in_the_end(self, portal, database, share, fails):
        operator = sql(self.query(*range(1, 61)), method="crm.item.add", max_rejected=share)
        if fails:
            with pytest.raises(
                AirflowFailException, match=r"60 of 120 rows were rejected, and max_rejected is 0\.4\. "
            ):
                operator.execute(run_of())
        else:
            assert operator.execute(run_of())["rejected"] == 60
        assert len(deals(portal)) == 60

    def test_a_share_stops_what_is_hopeless(self, portal, database):
        scores(database, 2000)
        with pytest.raises(AirflowFailException, match=r"(1,\d+) of \1 rows were rejected.*nothing behind row \1 was"):
            sql(self.query(*range(1, 2000)), method="crm.item.add", max_rejected=0.5).execute(run_of())

    @pytest.mark.parametrize(
        ("records", "words"),
        [
            ([{"title": "x"}], "the row has no column 'score'"),
            ([{"score": float("nan"), "title": ""}], "opportunity is nan"),
            ([{"score": b"x", "title": ""}], "opportunity is binary"),
            ([{"score": memoryview(b"x"), "title": ""}], "opportunity is binary"),
        ],
        ids=range(4),
    )
    def test_rows_that_can_not_be_sent_are_rejected_too(self, portal, tmp_path, monkeypatch, records, words):
        path = tmp_path / "rejects.jsonl"
        operator = sql(
            method="crm.item.add",
            columns={"score": "opportunity", "title": "title"},
            rejects_path=str(path),
            max_rejected=1,
        )
        monkeypatch.setattr(
            type(operator), "records", lambda _: (row for row in [{"score": 1, "title": "t"}, *records])
        )
        assert operator.execute(run_of())["rejected"] == 1
        (line,) = told(path)
        assert words in line["description"]
        assert line["number"] == 2

    def test_an_id_for_a_new_element_is_no_field(self, portal, database):
        with pytest.raises(AirflowFailException, match="1 of 1 rows were rejected"):
            sql("SELECT id, 'x' AS title FROM scores", method="crm.item.add").execute(run_of())
        assert deals(portal) == {}


def test_row_makes_anything(portal, database):
    operator = sql(
        "SELECT id, score FROM scores ORDER BY id LIMIT 2",
        method="crm.item.add",
        row=lambda record: {"fields": {"title": f"{record['id']}: {record['score']}"}},
    )
    assert operator.execute(run_of())["created"] == 2
    assert sorted(titles(portal)) == ["1: 1.25", "2: 2.25"]


class Dying(Store):
    """A store, and a task's process that dies when it keeps something: from then on nothing is kept."""

    def __init__(self, dies_at, *, keeps):
        super().__init__()
        self.left, self.keeps, self.dead = dies_at, keeps, False

    def set(self, key, value):
        self.left -= 1
        if self.left == 0:
            self.dead = True
            if self.keeps:
                super().set(key, value)
        if self.dead:
            raise Killed
        super().set(key, value)


def tries(operator, store, *, most=3):
    """Try again as Airflow does: what the last try came to."""
    for number in range(1, most + 1):
        context = run_of(store=store)
        context["ti"].try_number = number
        try:
            return operator.execute(context)
        except Killed:
            store.dead = False
        except AirflowFailException as failed:
            return failed
    raise AssertionError


def numbers(text):
    """The rows that a message names."""
    found = str(text).split("carried out: ")[1].split(". They")[0].split(", ")
    ends = [[int(end) for end in part.split("-")] for part in found]
    return {number for end in ends for number in range(end[0], end[-1] + 1)}


@pytest.mark.parametrize("keeps", [True, False], ids=["after", "before"])
def test_killed_anywhere_nothing_is_added_twice_and_nothing_is_left_out(portal, database, tmp_path, keeps):
    scores(database, 330)
    bad = {40, 290}
    query = (
        "SELECT CASE WHEN id IN (40, 290) THEN 'x' ELSE 'NEW' END AS \"stageId\", id AS title FROM scores ORDER BY id"
    )
    killed = 0
    for dies_at in range(1, 20):
        deals_anew(portal, 0)
        path = tmp_path / f"{dies_at}.jsonl"
        store = Dying(dies_at, keeps=keeps)
        operator = sql(query, method="crm.item.add", rejects_path=str(path), max_rejected=2)
        outcome = tries(operator, store)
        if store.left > 0:
            break
        killed += 1
        there = {int(title): count for title, count in titles(portal).items()}
        assert max(there.values()) == 1, dies_at
        unknown = numbers(outcome) if isinstance(outcome, Exception) else set()
        assert set(range(1, 331)) - bad - set(there) <= unknown, dies_at
        lines = told(path)
        assert {line["number"] for line in lines} == unknown | bad
        assert len(lines) == len(unknown | bad)
        assert {line["row"]["title"] for line in lines} == unknown | bad
        if isinstance(outcome, Exception):
            assert len(unknown) <= 300
            # Somebody looks, and clears the task: it goes on behind them, where nothing is left.
            context = run_of(store=store)
            context["ti"].max_tries = 5
            assert operator.execute(context)["unknown"] == 0
            assert {int(title): count for title, count in titles(portal).items()} == there
    assert killed >= 8


def test_killed_anywhere_with_a_key_everything_is_there_once(portal, database):
    scores(database, 330)
    for dies_at in range(1, 20, 3):
        deals_anew(portal, 0)
        store = Dying(dies_at, keeps=dies_at % 2 == 0)
        outcome = tries(sql(NEW, method="crm.item.add", key="originId"), store)
        if store.left > 0:
            break
        assert outcome["rows"] == 330
        assert set(titles(portal).values()) == {1}
        assert len(deals(portal)) == 330


def test_a_lost_answer_of_an_add_is_unknown_and_the_rest_is_written(portal, database, tmp_path):
    path = tmp_path / "rejects.jsonl"
    portal.faults.add(Fault("reset_after", method="batch", times=1, skip=1))
    store = Store()
    operator = sql(NEW, method="crm.item.add", rejects_path=str(path), parallel=1)
    outcome = tries(operator, store)
    assert "50 rows may or may not have been carried out: " in str(outcome)
    assert len(numbers(outcome)) == 50
    assert {line["number"] for line in told(path)} == numbers(outcome)
    assert titles(portal) == dict.fromkeys((f"deal {number}" for number in range(1, 121)), 1)
    # A retry would not change that; a clear takes it as seen to.
    context = run_of(store=store)
    context["ti"].max_tries = 5
    assert operator.execute(context)["rows"] == 120
    assert len(deals(portal)) == 120


def test_a_lost_answer_of_an_update_is_asked_for_again(portal, database):
    portal.add_deals(120)
    portal.faults.add(Fault("reset_after", method="batch", times=1))
    store, operator = Store(), sql(parallel=1)
    with pytest.raises(AirflowException, match="50 rows are not written yet, and a retry writes them: ") as caught:
        operator.execute(run_of(store=store))
    assert not isinstance(caught.value, AirflowFailException)
    result = operator.execute(run_of(store=store))
    assert (result["rows"], result["updated"]) == (120, 120)
    assert [call.method for call in portal.calls].count("crm.item.update") == 170


def test_a_portal_that_is_away_is_gone_on_with(portal, database):
    scores(database, 400)
    portal.faults.add(Fault("query_limit", method="batch", times=None, skip=4))
    store, operator = Store(), sql(NEW, method="crm.item.add", parallel=2)
    with pytest.raises((LimitError, NotSentError)):
        operator.execute(run_of(store=store))
    first = len(deals(portal))
    assert 0 < first < 400
    portal.faults.clear()
    assert operator.execute(run_of(store=store))["created"] == 400
    assert titles(portal) == dict.fromkeys((f"deal {number}" for number in range(1, 401)), 1)


@pytest.mark.parametrize("key", [None, "originId"], ids=["add", "upsert"])
def test_a_credential_that_is_gone_rejects_no_rows(portal, database, tmp_path, key):
    scores(database, 400)
    path = tmp_path / "rejects.jsonl"
    gone = Fault("error", "batch", times=None, skip=4, code="insufficient_scope", status=403)
    portal.faults.add(gone)
    store, operator = Store(), sql(NEW, method="crm.item.add", key=key, rejects_path=str(path), parallel=2)
    with pytest.raises(AirflowFailException, match="insufficient_scope"):
        operator.execute(run_of(store=store))
    assert 0 < len(deals(portal)) < 400
    portal.faults.clear()
    context = run_of(store=store)
    context["ti"].max_tries = 5
    result = operator.execute(context)
    assert (result["rows"], result["rejected"]) == (400, 0)
    assert titles(portal) == dict.fromkeys((f"deal {number}" for number in range(1, 401)), 1)
    assert not path.exists()


def test_a_cleared_task_that_has_succeeded_begins_anew_and_a_killed_one_does_not(portal, database):
    store, operator = Store(), sql(NEW, method="crm.item.add")
    first = operator.execute(run_of(store=store))
    assert operator.execute(run_of(store=store)) == first
    assert len(deals(portal)) == 120
    context = run_of(store=store)
    context["ti"].max_tries = 3
    assert operator.execute(context)["created"] == 120
    assert len(deals(portal)) == 240


@pytest.mark.parametrize("key", [None, "originId"], ids=["add", "upsert"])
def test_an_input_that_has_changed_is_noticed(portal, database, key):
    scores(database, 330)
    store = Dying(7, keeps=True)
    operator = sql(NEW, method="crm.item.add", key=key)
    with pytest.raises(Killed):
        operator.execute(run_of(store=store))
    store.dead = False
    database.query("DELETE FROM scores WHERE id = 1")
    if key is None:
        with pytest.raises(AirflowFailException, match=r"the input are others than in an earlier try\. Rows are known"):
            operator.execute(run_of(store=store))
        assert set(titles(portal).values()) == {1}
    else:
        assert operator.execute(run_of(store=store))["rows"] == 329
        assert set(titles(portal).values()) == {1}
        assert {f"deal {number}" for number in range(2, 331)} <= set(titles(portal))


def test_without_a_store_a_retry_of_an_add_fails_at_once_and_one_of_an_update_does_not(portal, database):
    portal.add_deals(120)
    context = run_of()
    context["ti"].task = SimpleNamespace(retries=2)
    context["ti"].try_number = 2
    with pytest.raises(AirflowFailException, match="an earlier try may have added rows"):
        sql(NEW, method="crm.item.add").execute(context)
    assert len(deals(portal)) == 120
    assert sql().execute(context)["updated"] == 120
    assert sql(NEW, method="crm.item.add", key="originId").execute(context)["created"] == 120


@pytest.mark.parametrize("keeps", [True, False], ids=["3.3", "3.2"])
def test_what_the_portal_carries_out_late_is_not_added_again(meanwhile, portal, database, monkeypatch, keeps):
    class Late:
        """The requests of the first try, which the portal carries out as late as the connection says it may."""

        left = 1.4

        def arrive(self):
            self.left = 0.0
            rows = [{**DEALS, "fields": {"originId": str(n), "title": f"deal {n}"}} for n in range(1, 51)]
            with Bitrix24Hook() as hook:
                assert all(outcome.ok for outcome in hook.call_many("crm.item.add", rows))

        def sleep(self, seconds):
            meanwhile.sleep(seconds)
            if 0 < self.left <= seconds:
                self.arrive()
            self.left = max(0.0, self.left - seconds)

    operator, late = sql(NEW, method="crm.item.add", key="originId"), Late()
    store = Dying(1, keeps=True) if keeps else None
    if store is not None:
        with pytest.raises(Killed):
            operator.execute(run_of(store=store))
        store.dead = False
    assert deals(portal) == {}
    monkeypatch.setattr(SystemClock, "sleep", lambda _, seconds: late.sleep(seconds))
    context = run_of(store=store)
    context["ti"].try_number, context["ti"].task = 2, SimpleNamespace(retries=2)
    assert operator.execute(context)["rows"] == 120
    if late.left:
        late.arrive()
    assert titles(portal) == dict.fromkeys((f"deal {number}" for number in range(1, 121)), 1)


def test_a_first_try_and_one_after_a_whole_one_wait_for_nothing(meanwhile, portal, database):
    store, operator = Store(), sql(NEW, method="crm.item.add", key="originId")
    operator.execute(run_of(store=store))
    context = run_of(store=store)
    context["ti"].max_tries = 5
    assert operator.execute(context)["updated"] == 120
    assert meanwhile.slept == []


PHONES = [
    {"id": number, "name": "x", "fm": [{"typeId": "PHONE", "valueType": "WORK", "value": f"+{number}"}]}
    for number in range(1, 61)
]


@pytest.mark.parametrize("ends", ["lost", "killed", "3.2"])
def test_phones_that_may_be_there_are_not_added_again(portal, monkeypatch, ends):
    sent = []
    monkeypatch.setattr(SqlToBitrix24Operator, "records", lambda _: (dict(row) for row in PHONES))
    real = Bitrix24Hook.call_many

    def call_many(self, method, rows, **more):
        def noted():
            for row in rows:
                sent.append(row["id"])
                yield row

        yield from real(self, method, noted(), **more)

    monkeypatch.setattr(Bitrix24Hook, "call_many", call_many)
    operator = sql(params={"entityTypeId": 3}, parallel=1)
    dying = Dying(3, keeps=True)
    store = {"lost": Store(), "killed": dying, "3.2": None}[ends]
    context = run_of(store=store)
    context["ti"].task = SimpleNamespace(retries=2)
    if ends == "lost":
        portal.faults.add(Fault("reset_after", method="batch", times=1))
    if ends == "killed":
        with pytest.raises(Killed):
            operator.execute(context)
        dying.dead = False
    context["ti"].try_number = 1 if ends == "lost" else 2
    with pytest.raises(
        AirflowFailException, match=r"rows may or may not have been carried out: 1-\d+\. They are not sent"
    ):
        operator.execute(context)
    assert max(Counter(sent).values(), default=0) <= 1
    if ends == "3.2":
        assert not sent
        # Who clears the task wants them to be sent.
        context["ti"].max_tries = 3
        operator = sql(params={"entityTypeId": 3}, max_rejected=60)
        assert operator.execute(context)["rows"] == len(sent) == 60


@pytest.mark.parametrize("store", [None, Store], ids=["3.2", "3.3"])
def test_the_slot_is_given_back_and_the_writing_goes_on_behind_the_last_row(meanwhile, portal, database, store):
    scores(database, 400)
    context = run_of(store=store and store())
    context["ti"].task = SimpleNamespace(retries=2)
    operator = sql(NEW, method="crm.item.add", parallel=1)
    # So many seconds for each: at 160 of them the portal has enough.
    portal.costs["crm.item.add"] = 3.0
    _, kept = deferred(operator, context)
    portal.costs.clear()
    assert 150 <= len(deals(portal)) < 400
    meanwhile.ahead += 1200
    result = sql(NEW, method="crm.item.add", parallel=1).resume(context, None, **kept)
    assert (result["rows"], result["created"]) == (400, 400)
    assert titles(portal) == dict.fromkeys((f"deal {number}" for number in range(1, 401)), 1)


def test_airflows_lineage_learns_from_where_and_to_where(portal, tmp_path, reader):
    path = tmp_path / "deals.csv"
    path.write_text("title\nx\n")
    files(f"file://{path}").execute(run_of())
    found = reader.retrieve_hook_lineage()
    assert [info.asset.uri for info in found.inputs] == [f"file://{path}"]
    assert [info.asset.uri.rpartition("/crm/")[2] for info in found.outputs] == ["deal"]


def test_how_far_it_has_come_is_told(portal, database, capsys, monkeypatch):
    monkeypatch.setattr("airflow_provider_b24.hooks.progress._FIRST", 0.0)
    sql(NEW, method="crm.item.add").execute(run_of())
    lines = [line for line in capsys.readouterr().out.splitlines() if "Writing crm.item.add: " in line]
    assert "Writing crm.item.add: 1 rows, " in lines[0]
    assert "Writing crm.item.add: all 120 rows in " in lines[-1]
