"""Rows as a file, in every format."""

from __future__ import annotations

import datetime as dt
import sys
import uuid
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_provider_b24.chat import table_files
from airflow_provider_b24.chat.table_files import check_table_name, write
from airflow_provider_b24.rest.errors import ConfigurationError, FileError


def test_the_ending_is_the_format() -> None:
    for name in ("report.csv", "Отчёт.XLSX", "x.parquet"):
        assert check_table_name(name) == name
    for wrong in ("report", "report.xls", ".csv", "a/b.csv", 5):
        with pytest.raises(ConfigurationError, match="file_name is"):
            check_table_name(wrong)


def test_csv(tmp_path: Path) -> None:
    write(str(tmp_path / "x.CSV"), ["a", "b"], iter([(1, "x"), (2.5, None)]), "ru")
    assert (tmp_path / "x.CSV").read_bytes() == "\ufeffa;b\r\n1;x\r\n2,5;\r\n".encode()


def test_nobody_waits_for_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "LARGEST", 100_000)
    taken = 0

    def rows():
        nonlocal taken
        for taken in range(1_000_000):
            yield (taken, "x" * 50)

    with pytest.raises(FileError, match=r"more than 100,000 bytes.*let the query return less") as caught:
        write(str(tmp_path / "x.csv"), ["a", "b"], rows())
    assert caught.value.permanent
    assert taken < 5000


@pytest.mark.parametrize(("ending", "library"), [(".xlsx", "openpyxl"), (".parquet", "pyarrow")])
def test_a_library_that_is_missing_is_named(
    tmp_path: Path, ending: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigurationError, match=rf"{ending} needs {library}, .* pip install {library}.* or choose"):
        write(str(tmp_path / f"x{ending}"), ["a"], [(1,)])


def test_xlsx(tmp_path: Path) -> None:
    import openpyxl

    moment = dt.datetime(2026, 1, 31, 5)
    row: tuple[object, ...] = (
        1,
        "=1+1",
        Decimal("0.10"),
        moment,
        moment.replace(tzinfo=dt.timezone.utc),
        None,
        True,
        float("nan"),
    )
    row += (dt.time(1, tzinfo=dt.timezone.utc), float("inf"), Decimal("1E+400"), "a\ud800")
    more = ("a\x00b", 10**18, Decimal("1.00000000000000001"), uuid.UUID(int=5), [1])
    write(str(tmp_path / "x.xlsx"), [*"abcdefghijklmnopq"], [(*row, *more)])
    (heading, cells) = openpyxl.load_workbook(tmp_path / "x.xlsx").active.iter_rows()
    assert "".join(cell.value for cell in heading) == "abcdefghijklmnopq"
    assert [cell.value for cell in cells] == [
        *(1, "=1+1", 0.1, moment, "2026-01-31 05:00:00+00:00", None, True, None),
        *("01:00:00+00:00", "inf", "1E+400", "a\\ud800"),
        *("ab", str(10**18), "1.00000000000000001", str(uuid.UUID(int=5)), "[1]"),
    ]
    # a text, not a formula
    assert cells[1].data_type == "s"


def test_a_text_that_a_cell_of_excel_can_not_hold_is_not_cut(tmp_path: Path) -> None:
    write(str(tmp_path / "x.xlsx"), ["a"], [("x" * 32_767,)])
    with pytest.raises(FileError, match=r"32,768 characters.*choose \.csv") as caught:
        write(str(tmp_path / "y.xlsx"), ["a"], [("x" * 32_768,)])
    assert caught.value.permanent


def test_parquet(tmp_path: Path) -> None:
    from pyarrow import parquet

    write(str(tmp_path / "x.parquet"), ["a", "b"], [(1, Decimal("0.10")), (None, float("nan"))])
    assert parquet.read_table(tmp_path / "x.parquet").to_pylist() == [
        {"a": 1, "b": Decimal("0.10")},
        {"a": None, "b": None},
    ]


MOMENT = dt.datetime(2026, 1, 31, 5, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([10**30, 1], ["1000000000000000000000000000000", "1"]),
        ([1, "x", 2.5, None, True], ["1", "x", "2.5", None, "True"]),
        (["x", 1], ["x", "1"]),
        ([MOMENT, "x", MOMENT.date(), MOMENT.timetz()], [str(MOMENT), "x", "2026-01-31", "05:00:00+00:00"]),
        ([Decimal("1E+400"), b"\x00\x01"], ["1E+400", "0001"]),
        ([Decimal("1.50"), "x"], ["1.50", "x"]),
        ([2**60 + 1, 0.5], [str(2**60 + 1), "0.5"]),
        ([{1}, "a\ud800"], ["{1}", "a\\ud800"]),
    ],
    ids=range(8),
)
def test_a_column_that_parquet_has_no_type_for_is_text(tmp_path: Path, values: list, written: list) -> None:
    from pyarrow import parquet

    write(str(tmp_path / "x.parquet"), ["a", "b"], [(value, 1) for value in values])
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.column("a").to_pylist() == written
    assert str(table.schema.field("b").type) == "int64"


def test_rows_that_are_shorter_than_others(tmp_path: Path) -> None:
    from pyarrow import parquet

    write(str(tmp_path / "x.parquet"), ["a", "b", "c"], [(1,), (2, "x")])
    assert parquet.read_table(tmp_path / "x.parquet").to_pylist() == [
        {"a": 1, "b": None, "c": None},
        {"a": 2, "b": "x", "c": None},
    ]


def test_what_a_library_can_not_write_is_no_raw_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    def write_table(*_):
        raise RuntimeError("some\nwords")

    monkeypatch.setattr(parquet, "write_table", write_table)
    words = r"^the table can not be written as \.parquet: RuntimeError: some words\. Change the type"
    with pytest.raises(FileError, match=words) as caught:
        write(str(tmp_path / "x.parquet"), ["a"], [(1,)])
    assert caught.value.permanent


def test_what_the_rows_raise_is_theirs(tmp_path: Path) -> None:
    def rows():
        yield (1,)
        raise ZeroDivisionError

    for ending in ("csv", "xlsx", "parquet"):
        with pytest.raises(ZeroDivisionError):
            write(str(tmp_path / f"x.{ending}"), ["a"], rows())
