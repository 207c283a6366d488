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
    row = (1, "=1+1", Decimal("0.10"), moment, moment.replace(tzinfo=dt.timezone.utc), None, True, float("nan"))
    more = ("a\x00b", 10**18, Decimal("1.00000000000000001"), uuid.UUID(int=5), [1])
    write(str(tmp_path / "x.xlsx"), [*"abcdefghijklm"], [(*row, *more)])
    (heading, cells) = openpyxl.load_workbook(tmp_path / "x.xlsx").active.iter_rows()
    assert "".join(cell.value for cell in heading) == "abcdefghijklm"
    assert [cell.value for cell in cells] == [
        *(1, "=1+1", 0.1, moment, "2026-01-31 05:00:00+00:00", None, True, None),
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
