"""Tables from data: read as people write them, aligned, and nothing in them acts."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import json
import os
import sqlite3
import subprocess
import sys
import unicodedata
from collections import namedtuple
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_b24.chat import text
from airflow_provider_b24.chat.tables import LONGEST_ATTACH, csv_chunks, table
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.testing.blocks import check_attach

ZERO, NARROW = "\u200b", "\u202f"
UTC = dt.timezone.utc


def shown(values: list[Any], language: str = "en", name: str = "value") -> list[str]:
    return [line.strip() for line in table(values, columns=[name], language=language).text().split("\n")[2:]]


@pytest.mark.parametrize(
    ("values", "english", "russian"),
    [
        ([1, 9999], ["1", "9999"], ["1", "9999"]),
        ([1, -1234567], ["1", "-1,234,567"], ["1", f"-1{NARROW}234{NARROW}567"]),
        ([1.0, 2.0], ["1", "2"], ["1", "2"]),
        ([1.5, 2], ["1.5", "2.0"], ["1,5", "2,0"]),
        ([10000.125, 0.001], ["10,000.12", "0.00"], [f"10{NARROW}000,12", "0,00"]),
        ([0.00123456, 0.5e-3], ["0.00123", "0.00050"], ["0,00123", "0,00050"]),
        ([-0.001, 2.25], ["0.00", "2.25"], ["0,00", "2,25"]),
        ([Decimal("0.10"), Decimal("1E+5")], ["0.10", "100,000.00"], ["0,10", f"100{NARROW}000,00"]),
        ([Decimal("12345678901234567890.123456789")], ["12,345,678,901,234,567,890.123456789"], None),
        ([10**30], [f"{10**30:,}"], None),
        ([float("nan"), None, float("inf"), 1], ["–", "–", "∞", "1"], ["–", "–", "∞", "1"]),
        ([1e300], ["1e+300"], ["1e+300"]),
        ([True, False, None], ["yes", "no", "–"], ["да", "нет", "–"]),
        ([dt.date(2026, 1, 31)], ["2026-01-31"], ["31.01.2026"]),
        ([dt.datetime(2026, 1, 31)], ["2026-01-31"], ["31.01.2026"]),
        (
            [dt.datetime(2026, 1, 31), dt.datetime(2026, 1, 31, 18, 5, 9)],
            ["2026-01-31 00:00", "2026-01-31 18:05:09"],
            ["31.01.2026 00:00", "31.01.2026 18:05:09"],
        ),
        ([dt.datetime(2026, 1, 31, 9, tzinfo=UTC)], ["2026-01-31 09:00 UTC"], ["31.01.2026 09:00 UTC"]),
        (
            [dt.datetime(2026, 1, 31, 9, tzinfo=dt.timezone(dt.timedelta(hours=3)))],
            ["2026-01-31 09:00 +03:00"],
            ["31.01.2026 09:00 +03:00"],
        ),
        ([dt.timedelta(days=1, seconds=3723), -dt.timedelta(seconds=5)], ["1 d 01:02:03", "-00:00:05"], None),
        ([dt.time(9, 30)], ["09:30:00"], ["09:30:00"]),
        ([b"\x00\xff" * 20, {"a": "ж"}, [1]], ["0x" + "00ff" * 8 + "…", '{"a": "ж"}', "[1]"], None),
        (["", "1"], ["", "1"], None),
        (["a\x1b[31mb\x00"], ["ab"], None),
    ],
    ids=range(23),
)
def test_values_are_written_as_people_do(values: list[Any], english: list[str], russian: list[str] | None) -> None:
    assert shown(values) == english
    if russian is not None:
        assert shown(values, "ru") == russian


@pytest.mark.parametrize("name", ["id", "deal_id", "dealId", "ИНН", "Deal ID"])
def test_numbers_that_are_names_are_not_grouped(name: str) -> None:
    assert shown([123456], name=name) == ["123456"]
    assert shown([123456], name="paid") == ["123,456"]


def test_columns_stand_one_below_the_other() -> None:
    rows = [("Москва", 1234567.5, None), ("東京 🗼", 12, "two\nlines"), ("e\u0301te\u0301", -3.25, "x")]
    assert table(rows, columns=["Город", "Sum", "?"], language="ru").text() == "\n".join(
        [
            f"Город{' ' * 13}Sum  ?",
            "───────  ────────────  ─────",
            f"Москва   1{NARROW}234{NARROW}567,50  –",
            "東京 🗼         12,00  two",
            "                       lines",
            "e\u0301te\u0301             -3,25  x",
        ]
    )


_cells = st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=80) | st.dates()


@settings(deadline=None, derandomize="CI" in os.environ)
@given(st.integers(1, 4).flatmap(lambda count: st.lists(st.tuples(*[_cells] * count), max_size=8)))
def test_any_rows(rows: list[tuple[Any, ...]]) -> None:
    for language in ("en", "ru"):
        found = table(rows, language=language)
        attach = found.attach()
        if attach is not None:
            assert check_attach(attach) == attach
            for block in attach:
                for cell in block.get("GRID", []):
                    for part in (cell.get("NAME", ""), cell["VALUE"]):
                        assert text.escape(part) == part
        content = io.StringIO(found.csv().decode("utf-8-sig"), newline="")
        assert len(list(csv.reader(content, delimiter=";" if language == "ru" else ","))) == len(rows)
        assert max(map(len, found.text().split("\n"))) < 400


@settings(deadline=None, derandomize="CI" in os.environ)
@given(st.lists(st.tuples(st.text("аbc東\u0301[] \n", max_size=90), st.integers()), min_size=1, max_size=6))
def test_columns_are_aligned_whatever_is_in_them(rows: list[tuple[str, int]]) -> None:
    def columns_of(line: str) -> int:
        wide = {"W": 2, "F": 2}
        return sum(0 if unicodedata.combining(one) else wide.get(unicodedata.east_asian_width(one), 1) for one in line)

    lines = table(rows, columns=["a", "n"]).text().split("\n")
    assert {columns_of(line) for line in lines if line[-1:].isdecimal()} <= {columns_of(lines[1])}
    assert "".join(line for line in lines[2:]).count("東") == sum(row[0].count("東") for row in rows)


# attachments


def test_two_columns_are_rows_of_a_grid() -> None:
    found = table([("loaded", 12345), ("[b]failed[/b]", 7)], columns=["what", "rows"], title="Load [i]").attach()
    assert found == [
        {"MESSAGE": f"[b]Load [{ZERO}i][/b]"},
        {
            "GRID": [
                {"DISPLAY": "ROW", "NAME": "what", "VALUE": "[b]rows[/b]"},
                {"DISPLAY": "ROW", "NAME": "loaded", "VALUE": "12,345"},
                {
                    "DISPLAY": "ROW",
                    "NAME": f"[{ZERO}b]failed[{ZERO}/b]",
                    "VALUE": f"{ZERO}\u2007\u2007\u2008\u2007\u20077",
                },
            ]
        },
    ]


def test_more_columns_are_cells_under_their_names() -> None:
    found = table([{"a": "x", "b": 1, "c": None}, {"a": "yy", "b": 2, "c": "z"}]).attach()
    assert found is not None
    assert [[(cell["NAME"], cell["VALUE"]) for cell in block["GRID"]] for block in found] == [
        [("a", "x"), ("b", "1"), ("c", "–")],
        [("a", "yy"), ("b", "2"), ("c", "z")],
    ]
    # the same widths in every row make columns
    assert {tuple(cell["WIDTH"] for cell in block["GRID"]) for block in found} == {(60, 60, 60)}
    assert {cell["DISPLAY"] for block in found for cell in block["GRID"]} == {"LINE"}


@pytest.mark.parametrize(
    ("rows", "fits"),
    [
        ([("x", 1)] * 30, True),
        ([("x", 1)] * 31, False),
        ([(1, 2, 3, 4, 5)], True),
        ([(1, 2, 3, 4, 5, 6)], False),
        ([("x" * 20, "x" * 20, "x" * 20)], True),
        ([("x" * 30, "x" * 30, "x" * 30)], False),
        ([("x", "y" * 300)], True),
        ([("x", "y" * 301)], False),
        ([("ж" * 300, "ж" * 300)] * 20, False),
    ],
    ids=["rows", "too many rows", "columns", "too many columns", "wide", "too wide", "cell", "too long cell", "all"],
)
def test_what_fits_in_an_attachment(rows: list[tuple[Any, ...]], fits: bool) -> None:
    attach = table(rows).attach()
    assert (attach is not None) == fits
    assert attach is None or len(json.dumps(attach)) <= LONGEST_ATTACH


def test_an_empty_table_says_so() -> None:
    empty = table([], columns=["a", "b"], title="T", language="ru")
    assert empty.attach() == [{"MESSAGE": "[b]T[/b]"}, {"MESSAGE": "Нет строк"}]
    assert (len(empty), empty.text(), empty.csv()) == (0, "Нет строк", "\ufeffa;b\r\n".encode())
    assert table([]).text() == "No rows"


# files


def test_a_file_is_read_back_as_it_was() -> None:
    rows = [("a;b,c", 1234567, Decimal("0.10"), 0.1 + 0.2, dt.date(2026, 1, 31), True, None, 'say "x"\nтут')]
    for language, delimiter, mark in (("en", ",", "."), ("ru", ";", ",")):
        content = table(rows, columns=[*"abcdefgh"], language=language).csv()
        assert content.startswith(b"\xef\xbb\xbf")
        read = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))
        numbers = [number.replace(".", mark) for number in ("0.10", "0.30000000000000004")]
        assert read == [[*"abcdefgh"], ["a;b,c", "1234567", *numbers, "2026-01-31", "true", "", 'say "x"\nтут']]


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+1+1", "'+1+1"),
        ("-2-cmd|x", "'-2-cmd|x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("-5,3", "-5,3"),
        ("+7 999 123", "+7 999 123"),
        (-5, "-5"),
        ("a=b", "a=b"),
        ("-", "'-"),
        ("a\udcffb\n", "a\\udcffb\n"),
    ],
    ids=range(11),
)
def test_no_spreadsheet_calculates_a_text(cell: Any, written: str) -> None:
    content = table([(cell,)], columns=[cell]).csv().decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(content, newline=""))) == [[written], [written]]


def test_a_file_is_written_while_rows_come() -> None:
    taken = 0

    def rows() -> Any:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield (number, "x")

    chunks = csv_chunks(rows(), ["n", "x"])
    assert next(chunks).count(b"\n") == taken + 1 < 5000
    assert next(chunks).startswith(b"1000,x\r\n")


# what rows come as

Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Deal:
    title: str
    sum: int


class Frame:
    """As pandas has it."""

    columns = ("a", ("b", "max"))

    def __init__(self, index: list[str | None]) -> None:
        self.index: Any = type("Index", (), {"names": index})()

    def reset_index(self) -> Any:
        frame = Frame([None])
        frame.columns = ("i", *Frame.columns)  # type: ignore[assignment]
        frame.itertuples = lambda **_: iter([(7, 1, 2)])  # type: ignore[method-assign]
        return frame

    def itertuples(self, index: bool, name: None) -> Any:
        return iter([(1, 2)])


class Polars:
    columns = ("a", "b")

    def iter_rows(self) -> Any:
        return iter([(1, 2)])


@pytest.mark.parametrize(
    ("rows", "columns", "titles", "values"),
    [
        ([{"a": 1}, {"b": 2}], None, ["a", "b"], [(1, None), (None, 2)]),
        ([{"a": 1, "b": 2}], ["b"], ["b"], [(2,)]),
        ([{"a": 1, "b": 2}], {"b": "Bee", "a": "Ay"}, ["Bee", "Ay"], [(2, 1)]),
        ([(1, 2)], None, None, [(1, 2)]),
        ([[1, 2]], ["a", "b"], ["a", "b"], [(1, 2)]),
        (((n, n) for n in range(2)), [("a", None), ("b", "int")], ["a", "b"], [(0, 0), (1, 1)]),
        ([Point(1, 2)], None, ["x", "y"], [(1, 2)]),
        ([Point(1, 2)], ["first", "second"], ["first", "second"], [(1, 2)]),
        ([Deal("d", 5)], {"sum": "Σ"}, ["Σ"], [(5,)]),
        ({"loaded": 5}, None, None, [("loaded", 5)]),
        (["x", "yz"], ["word"], ["word"], [("x",), ("yz",)]),
        (Frame([None]), None, ["a", "b max"], [(1, 2)]),
        (Frame(["i"]), None, ["i", "a", "b max"], [(7, 1, 2)]),
        (Polars(), ["b"], ["b"], [(2,)]),
        ([], ["a"], ["a"], []),
    ],
    ids=range(15),
)
def test_rows_come_as_many_things(rows: Any, columns: Any, titles: list[str] | None, values: list[Any]) -> None:
    found = table(rows, columns=columns)
    assert (found.columns, found.rows) == (titles, values)


def test_a_cursor_is_a_table() -> None:
    cursor = sqlite3.connect(":memory:").execute("SELECT 1 AS one, 'x' AS two UNION SELECT 2, NULL")
    assert table(cursor, columns=cursor.description).text() == "one  two\n───  ───\n  1  x\n  2  –"


def test_short_rows_are_filled() -> None:
    assert table([(1,), (2, "x")], columns=["a", "b"]).text() == "a  b\n─  ─\n1  –\n2  x"


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ("text", {}, "rows is a str"),
        (5, {}, "rows is a int"),
        ([{"a": 1}], {"columns": ["b", "a"]}, "columns has 'b', and the rows have a"),
        ([{"a": 1}, 5], {}, "row 2 is a int, and the first one is a mapping. Give rows of one kind."),
        ([{"a": 1}, {"a": 2}, None], {}, "row 3 is a NoneType, and the first one is a mapping"),
        ([(1, 2), 5], {}, "row 2 is a int, and the first one is a sequence"),
        ([[1], "ab"], {}, "row 2 is a str, and the first one is a sequence"),
        ([Point(1, 2), 5], {}, "row 2 is a int, and the first one is a sequence"),
        ([Deal("a", 1), (1, 2)], {}, "row 2 is a tuple, and the first one is a Deal"),
        ([(1, 2)], {"columns": ["a"]}, "a row has 2 values, and there are 1 columns"),
        ([{"a": 1}], {"columns": "a"}, "columns is a text"),
        ([], {"language": "de"}, "language is 'de'"),
    ],
    ids=range(12),
)
def test_what_is_no_table_is_refused(rows: Any, options: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        table(rows, **options)


# from text.py


def test_text_reaches_tables_and_loads_them_when_asked() -> None:
    assert text.table([(1,)], columns=["a"]).text() == "a\n─\n1"
    loaded = "import sys, airflow_provider_b24.chat.text; print('airflow_provider_b24.chat.tables' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True).strip() == "False"


def test_what_a_message_is_made_of() -> None:
    assert text.bold("[x]/") == f"[b][{ZERO}x]/[/b]"
    assert text.link("https://a.b/?c[]=1&d", "[b]") == f"[url=https://a.b/?c%5B%5D=1&d][{ZERO}b][/url]"
    assert text.link("http://a.b") == "[url=http://a.b]http://a.b[/url]"
    assert text.mention(12, "Anna [QA]") == f"[user=12]Anna [{ZERO}QA][/user]"
    assert text.mention("ALL", "everybody") == "[user=all]everybody[/user]"
    for wrong in (lambda: text.link("javascript:x"), lambda: text.link("/x"), lambda: text.mention("1]x", "y")):
        with pytest.raises(ConfigurationError):
            wrong()
