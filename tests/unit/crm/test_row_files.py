"""Rows as files: what is written is read again, also where columns appear on the way."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import sys
from decimal import Decimal
from typing import Any

import pendulum
import pytest
from pyarrow import parquet

from airflow_provider_b24.crm.fields import Field
from airflow_provider_b24.crm.row_files import (
    Column,
    check_installed,
    check_kinds,
    columns_of,
    format_of,
    further_columns,
    row_file,
)
from airflow_provider_b24.crm.typed import Money
from airflow_provider_b24.rest.errors import ConfigurationError

MOMENT = pendulum.datetime(2026, 5, 4, 3, 0, 1, tz="Europe/Moscow")
COLUMNS = [
    Column("id", "integer"),
    Column("title", "string"),
    Column("sum", "number"),
    Column("won", "boolean"),
    Column("day", "date"),
    Column("at", "datetime"),
    Column("cost", "money"),
    Column("fm", "json"),
    Column("tags", "string", True),
    Column("times", "datetime", True),
    Column("else"),
]
ROW: dict[str, Any] = {
    "id": 1,
    "title": 'Ω "quoted", and\r\ntwo lines \ud83d',
    "sum": Decimal("12.50"),
    "won": False,
    "day": pendulum.date(2026, 5, 4),
    "at": MOMENT,
    "cost": Money(Decimal("99.90"), "RUB"),
    "fm": {"PHONE": [{"VALUE": "+7"}]},
    "tags": ["a", None, "b"],
    "times": [MOMENT],
    "else": [1],
}
EMPTY = dict.fromkeys(ROW) | {"id": 2, "tags": []}
SHORT = {"id": 3}


def written(format_, columns, *pieces):
    out = io.BytesIO()
    file = row_file(format_, out, columns)
    for rows in pieces:
        file.write(rows)
    file.close()
    return out.getvalue()


def joined(format_, columns, *parts):
    out = io.BytesIO()
    file = row_file(format_, out, columns)
    for data, known in parts:
        file.join(io.BytesIO(data), known)
    file.close()
    return out.getvalue()


def read_csv(data):
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def test_parquet_has_the_types_of_the_fields():
    data = written("parquet", COLUMNS, [ROW, EMPTY], [SHORT])
    table = parquet.read_table(io.BytesIO(data))
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("id", "int64"),
        ("title", "string"),
        ("sum", "double"),
        ("won", "bool"),
        ("day", "date32[day]"),
        ("at", "timestamp[us, tz=UTC]"),
        ("cost", "struct<amount: double, currency: string>"),
        ("fm", "string"),
        ("tags", "list<element: string>"),
        ("times", "list<element: timestamp[us, tz=UTC]>"),
        ("else", "string"),
    ]
    first, second, third = table.to_pylist()
    assert first == {
        "id": 1,
        "title": 'Ω "quoted", and\r\ntwo lines \\ud83d',
        "sum": 12.5,
        "won": False,
        "day": dt.date(2026, 5, 4),
        "at": dt.datetime(2026, 5, 4, 0, 0, 1, tzinfo=dt.timezone.utc),
        "cost": {"amount": 99.9, "currency": "RUB"},
        "fm": '{"PHONE": [{"VALUE": "+7"}]}',
        "tags": ["a", None, "b"],
        "times": [dt.datetime(2026, 5, 4, 0, 0, 1, tzinfo=dt.timezone.utc)],
        "else": "[1]",
    }
    assert second == {**dict.fromkeys(ROW), "id": 2, "tags": []}
    assert third == {**dict.fromkeys(ROW), "id": 3}


def test_json_lines_keep_what_rows_have():
    lines = written("jsonl", [], [ROW, EMPTY], [SHORT]).decode().splitlines()
    first, second, third = map(json.loads, lines)
    assert first == {
        **ROW,
        "title": 'Ω "quoted", and\r\ntwo lines \ud83d',
        "sum": 12.5,
        "day": "2026-05-04",
        "at": "2026-05-04T03:00:01+03:00",
        "cost": {"amount": 99.9, "currency": "RUB"},
        "times": ["2026-05-04T03:00:01+03:00"],
    }
    assert (second, third) == (EMPTY, SHORT)
    assert "Ω" in lines[0]


@pytest.mark.parametrize(
    ("number", "as_json"),
    [("3", "3"), ("3.00", "3"), ("0.1", "0.1"), ("12345678901234567.89", '"12345678901234567.89"'), ("1E+2", "100")],
)
def test_no_digit_of_a_number_is_lost_in_json(number, as_json):
    assert written("jsonl", [], [{"n": Decimal(number)}]).decode() == f'{{"n":{as_json}}}\n'


def test_csv_is_rfc_4180_with_a_heading():
    data = written("csv", COLUMNS, [ROW, EMPTY], [SHORT])
    heading, first, second, third = read_csv(data)
    assert heading == [column.name for column in COLUMNS]
    assert first == [
        "1",
        'Ω "quoted", and\r\ntwo lines \\ud83d',
        "12.50",
        "false",
        "2026-05-04",
        "2026-05-04T03:00:01+03:00",
        '{"amount": 99.9, "currency": "RUB"}',
        '{"PHONE": [{"VALUE": "+7"}]}',
        '["a", null, "b"]',
        '["2026-05-04T03:00:01+03:00"]',
        "[1]",
    ]
    assert second == ["2", "", "", "", "", "", "", "", "[]", "", ""]
    assert third == ["3", *[""] * 10]
    assert data.startswith(b"id,title,sum,")
    assert data.count(b"\r\n") == 5


def test_an_empty_file_has_its_columns():
    assert written("csv", COLUMNS[:2]) == b"id,title\r\n"
    assert written("jsonl", COLUMNS) == b""
    table = parquet.read_table(io.BytesIO(written("parquet", COLUMNS)))
    assert (table.num_rows, table.column_names) == (0, [column.name for column in COLUMNS])


@pytest.mark.parametrize("format_", ["csv.gz", "jsonl.gz"])
def test_the_same_rows_are_the_same_bytes(format_):
    data = written(format_, COLUMNS[:2], [ROW])
    assert data == written(format_, COLUMNS[:2], [ROW])
    assert gzip.decompress(data) == written(format_[:-3], COLUMNS[:2], [ROW])


@pytest.mark.parametrize("format_", ["jsonl", "jsonl.gz", "csv", "csv.gz"])
def test_texts_that_are_joined_are_one(format_):
    parts = [(written(format_, COLUMNS, rows), COLUMNS) for rows in ([ROW, EMPTY], [], [SHORT])]
    assert joined(format_, COLUMNS, *parts) == written(format_, COLUMNS, [ROW, EMPTY, SHORT])


def test_parquet_that_is_joined_is_one():
    parts = [(written("parquet", COLUMNS, rows), COLUMNS) for rows in ([ROW, EMPTY], [], [SHORT])]
    whole = parquet.ParquetFile(io.BytesIO(joined("parquet", COLUMNS, *parts)))
    assert whole.read().equals(parquet.read_table(io.BytesIO(written("parquet", COLUMNS, [ROW, EMPTY, SHORT]))))
    assert whole.num_row_groups == 1


@pytest.mark.parametrize("format_", ["csv", "csv.gz", "parquet"])
def test_columns_that_appear_on_the_way_are_empty_before(format_):
    first, all_ = COLUMNS[:2], [*COLUMNS[:2], Column("new"), Column("date", "date")]
    rows = [{**SHORT, "title": 'two\r\nlines, "x"', "new": "n", "date": dt.date(2026, 1, 2)}]
    parts = [(written(format_, first, [ROW]), first), (written(format_, all_, rows), all_)]
    one, other = joined(format_, all_, *parts), written(format_, all_, [{"id": 1, "title": ROW["title"]}, *rows])
    if format_ == "parquet":
        assert parquet.read_table(io.BytesIO(one)).equals(parquet.read_table(io.BytesIO(other)))
    else:
        assert one == other


def test_row_groups_are_of_a_bearable_size():
    rows = [{"id": number, "title": "x" * 100} for number in range(5000)]
    data = written("parquet", COLUMNS[:2], *[rows] * 45)
    file = parquet.ParquetFile(io.BytesIO(data))
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sum(sizes) == 225_000
    assert 2 <= len(sizes) <= 5


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "x"),
        ("integer", True),
        ("integer", 2**63),
        ("number", "1.5"),
        ("boolean", "Y"),
        ("date", "2026-05-04"),
        ("date", MOMENT),
        ("datetime", "2026-05-04 10:00:00"),
        ("datetime", dt.datetime(2026, 5, 4)),
        ("money", "100|USD"),
    ],
)
def test_what_a_column_can_not_hold_is_named(kind, value):
    rows: list[dict[str, Any]] = [{"id": 7, "x": None}, {"id": 8, "x": value}]
    with pytest.raises(ConfigurationError) as caught:
        written("parquet", [Column("id", "integer"), Column("x", kind)], rows)
    assert f"row 8 has {value!r}"[:60] in str(caught.value)
    assert "kinds={'x': 'string'}" in str(caught.value)
    table = parquet.read_table(io.BytesIO(written("parquet", [Column("x", "string")], rows)))
    assert table.column("x").null_count == 1
    told: list[ConfigurationError] = []
    out = io.BytesIO()
    file = row_file("parquet", out, [Column("x", kind)], told.append)
    file.write(rows)
    file.close()
    assert parquet.read_table(io.BytesIO(out.getvalue())).column("x").to_pylist() == [None, None]
    assert [one.description for one in told] == [caught.value.description]


def test_which_columns_there_are():
    fields = {
        "id": Field("id", "integer", upper_name="ID"),
        "title": Field("title", "string", upper_name="TITLE"),
        "ufCrm5": Field("ufCrm5", "double", multiple=True, upper_name="UF_CRM_5"),
    }
    everything = [Column("id", "integer"), Column("title", "string"), Column("ufCrm5", "number", True)]
    assert columns_of(fields, key="id") == everything
    assert columns_of(fields, key="id", select=["*"]) == everything
    assert columns_of(fields, key="id", select=["UF_CRM_5", "Title", "odd"]) == [
        everything[0],
        everything[2],
        everything[1],
        Column("odd"),
    ]
    assert columns_of(fields, key="id", kinds={"ufCrm5": "string"})[2] == Column("ufCrm5", "string")
    assert columns_of({}, key=None, select=["a"]) == [Column("a")]
    rows = [{"id": 1, "new": 1}, {"id": 2, "newer": 1, "new": 2}]
    assert further_columns(everything, rows, {"newer": "integer"}) == [Column("new"), Column("newer", "integer")]
    assert further_columns(everything, [{"id": 1}]) == []


@pytest.mark.parametrize(
    ("path", "format_"),
    [("a/b.jsonl", "jsonl"), ("b.NDJSON", "jsonl"), ("b.csv.gz", "csv.gz"), ("s3://x/b.parquet", "parquet")],
)
def test_a_files_format(path, format_):
    assert format_of(path) == format_
    assert format_of("anything", format_) == format_


@pytest.mark.parametrize(
    "refused", [lambda: format_of("b.xlsx"), lambda: format_of("b.csv", "xlsx"), lambda: format_of("gz")]
)
def test_what_is_no_format(refused):
    with pytest.raises(ConfigurationError, match="jsonl"):
        refused()


def test_what_is_no_kind():
    check_kinds({"x": "money"})
    with pytest.raises(ConfigurationError, match=r"kinds has 'x': 'int'. It can be string, integer"):
        check_kinds({"x": "int"})


def test_parquet_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    check_installed("csv")
    with pytest.raises(ConfigurationError, match=r"pip install 'airflow-provider-b24\[parquet\]'"):
        check_installed("parquet")
