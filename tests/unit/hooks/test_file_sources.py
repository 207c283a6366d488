"""What becomes a file. The libraries that tables and figures come from are imported where they are needed, for they are
large."""

from __future__ import annotations

import datetime as dt
import importlib
import io
import sys
import zipfile
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_b24.chat import text
from airflow_provider_b24.chat.files import LARGEST, File
from airflow_provider_b24.hooks.file_sources import check_source, file_of
from airflow_provider_b24.rest.errors import ConfigurationError, FileError

ROWS = {"город": ["Москва", "Тверь"], "sum": [5, 7]}
CSV = "\ufeffгород,sum\nМосква,5\nТверь,7\n".encode()
LIBRARIES = ("pandas", "polars", "pyarrow")


def content(file: File) -> bytes:
    with file.open() as stream:
        taken = stream.read()
    assert len(taken) == file.size
    with file.open() as stream:
        assert stream.read() == taken, "it can be read again"
    return taken


def table(library):
    made = importlib.import_module(library)
    return made.table(ROWS) if library == "pyarrow" else made.DataFrame(ROWS)


@pytest.mark.parametrize("kind", [str, Path, lambda path: ObjectStoragePath(f"file://{path}"), lambda p: f"file://{p}"])
def test_what_lies_somewhere(tmp_path, kind):
    path = tmp_path / "a b.txt"
    path.write_bytes(b"text")
    file = file_of(kind(path))
    assert (file.name, content(file)) == ("a b.txt", b"text")
    assert file_of(kind(path), "c.txt").name == "c.txt"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes(kind):
    assert content(file_of(kind(b"text"), "a.txt")) == b"text"


def test_a_file_is_one():
    file = File.of_bytes("a.txt", b"text")
    assert file_of(file) is file
    assert (file_of(file, "b.txt").name, content(file_of(file, "b.txt"))) == ("b.txt", b"text")
    assert "text" not in repr(file)


def test_a_table_of_ours():
    made = text.table([{"sum": 5}], title="Revenue")
    file = file_of(made)
    assert (file.name, content(file)) == ("table.csv", made.csv())
    with pytest.raises(ConfigurationError, match=r"It can be written as \.csv\."):
        check_source(made, "a.xlsx")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_table_as_csv(library):
    made = table(library)
    file = file_of(made)
    assert (file.name, content(file).replace(b'"', b"")) == ("table.csv", CSV)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_table_for_excel(library):
    import openpyxl

    made = table(library)
    file = file_of(made, "report.xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(content(file))).active
    assert [list(row) for row in sheet.values] == [["город", "sum"], ["Москва", 5], ["Тверь", 7]]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_table_as_parquet(library):
    from pyarrow import parquet

    made = table(library)
    file = file_of(made, "report.parquet")
    assert parquet.read_table(io.BytesIO(content(file))).to_pydict() == ROWS


def test_an_index_that_says_something():
    import pandas

    series = pandas.Series([5, 7], index=pandas.Index(["a", "b"], name="key"), name="sum")
    assert content(file_of(series)) == b"\xef\xbb\xbfkey,sum\na,5\nb,7\n"
    assert zipfile.is_zipfile(io.BytesIO(content(file_of(series, "a.xlsx"))))


MOMENT = dt.datetime(2026, 1, 31, 5, tzinfo=dt.timezone.utc)
SHOWN = "2026-01-31 05:00:00+00:00"


@pytest.mark.parametrize(
    "kind", ["moments", "objects", "index", "several levels", "names", "series", "pyarrow", "polars"]
)
def test_excel_knows_no_time_zones(kind):
    import openpyxl
    import pandas
    import polars
    import pyarrow

    levels = pandas.MultiIndex.from_tuples([(MOMENT, 1), (MOMENT, 2)], names=["t", "n"])
    made, written = {
        "moments": (lambda: pandas.DataFrame({"t": [None, MOMENT]}), [("t",), (None,), (SHOWN,)]),
        "objects": (
            lambda: pandas.DataFrame({"t": [MOMENT, "x", 5], "n": [1, 2, 3]}),
            [("t", "n"), (SHOWN, 1), ("x", 2), (5, 3)],
        ),
        "index": (
            lambda: pandas.DataFrame({"a": [5]}, index=pandas.Index([MOMENT], name="t")),
            [("t", "a"), (SHOWN, 5)],
        ),
        "several levels": (
            lambda: pandas.DataFrame({"a": [5, 6]}, index=levels),
            [("t", "n", "a"), (SHOWN, 1, 5), (None, 2, 6)],
        ),
        "names": (lambda: pandas.DataFrame([[5]], columns=[MOMENT]), [(SHOWN,), (5,)]),
        "series": (lambda: pandas.Series([MOMENT], name="t"), [("t",), (SHOWN,)]),
        "pyarrow": (lambda: pyarrow.table({"t": [MOMENT]}), [("t",), (SHOWN,)]),
        "polars": (
            lambda: polars.DataFrame({"t": [None, MOMENT], "n": [1, 2]}),
            [("t", "n"), (None, 1), (SHOWN, 2)],
        ),
    }[kind]
    table = made()
    before = repr(table)
    sheet = openpyxl.load_workbook(io.BytesIO(content(file_of(table, "a.xlsx")))).active
    assert list(sheet.values) == written
    assert repr(table) == before


@pytest.mark.parametrize("library", LIBRARIES)
def test_excel_neither_rounds_nor_cuts(library):
    import openpyxl

    made = importlib.import_module(library)
    build = made.table if library == "pyarrow" else made.DataFrame
    frame = build({"id": [10**15 - 1, 10**18 + 1], "f": [0.5, 1.5], "t": ["x" * 32_767, "y"]})
    cells = list(openpyxl.load_workbook(io.BytesIO(content(file_of(frame, "a.xlsx")))).active.values)
    assert [str(row[0]) for row in cells] == ["id", str(10**15 - 1), str(10**18 + 1)]
    assert [row[1:] for row in cells[1:]] == [(0.5, "x" * 32_767), (1.5, "y")]
    with pytest.raises(FileError, match="a text has 32,768 characters") as caught:
        file_of(build({"t": ["x" * 32_768]}), "a.xlsx")
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.parquet", r"as \.parquet: Arrow\w+: .*Conversion failed for column c with type"), ("a.xlsx", r"as \.xlsx: ")],
)
def test_what_a_library_can_not_write_names_the_format_and_is_not_tried_again(name, words):
    import pandas

    # Excel: several levels of names stand over rows that are only numbered.
    columns = {"a.parquet": {"c": [1 + 2j]}, "a.xlsx": {("a", "b"): [1]}}[name]
    with pytest.raises(FileError, match=words) as caught:
        file_of(pandas.DataFrame(columns), name)
    assert caught.value.permanent


@pytest.mark.parametrize(("library", "needs"), [("pandas", "openpyxl"), ("polars", "xlsxwriter")])
def test_a_library_that_is_missing(monkeypatch, library, needs):
    made = table(library)
    for name in ("openpyxl", "xlsxwriter", *sys.modules):
        if name.partition(".")[0] in ("openpyxl", "xlsxwriter"):
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=rf"needs {needs}, which is not installed\. pip install {needs}"):
        file_of(made, "a.xlsx")


@pytest.mark.parametrize(("name", "beginning"), [(None, b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")])
def test_a_figure_of_matplotlib(name, beginning):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 3, 2])
    file = file_of(figure, name)
    assert file.name == (name or "figure.png")
    assert content(file).startswith(beginning)


def test_a_figure_of_plotly_without_what_draws_it():
    from plotly import graph_objects

    # kaleido is not installed here
    with pytest.raises(ConfigurationError, match="pip install kaleido"):
        file_of(graph_objects.Figure())


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        (5, None, "file is a int. Give a path"),
        (None, None, "file is a NoneType"),
        ({"a": 1}, None, "file is a dict"),
        ("", None, "file is ''"),
        ("a\0b", None, "file is 'a\\x00b'"),
        (b"", None, "file is bytes, and there is no name"),
        ("a", "x/y", "name is 'x/y'"),
        ("a", "x" * 300, "name has 300 characters"),
        ("nowhere://user:s3cr3t@bucket/key", None, "a storage of the kind nowhere:// can not be used here"),
    ],
)
def test_what_becomes_none(source, name, words):
    with pytest.raises(ConfigurationError) as caught:
        file_of(source, name)
    assert words in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_format_that_nothing_writes():
    made = table("pandas")
    with pytest.raises(ConfigurationError, match=r"can not be written as \.doc\. It can be written as \.csv, \.xlsx"):
        check_source(made, "a.doc")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: File("a.txt", 0, io.BytesIO), "the file 'a.txt' is empty"),
        (lambda: File("a.txt", LARGEST + 1, io.BytesIO), "has 104,857,601 bytes. The portal takes"),
        (lambda: file_of("file:///nowhere/a.txt"), "the file 'a.txt' can not be read: No such file or directory"),
        (lambda: file_of("/nowhere/a.txt"), "the file '/nowhere/a.txt' can not be read: No such file or directory"),
        (lambda: file_of("/"), "'/' is a folder"),
    ],
)
def test_what_can_not_be_sent(make, words):
    with pytest.raises(FileError) as caught:
        make()
    assert words in str(caught.value)
    assert File("a.txt", LARGEST, io.BytesIO).size == LARGEST
