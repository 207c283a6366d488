"""What a task has made becomes a file: a path, an object in a storage, bytes, a table, a figure.

Tables and figures are known by the library that they come from, which is there if they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from io import BytesIO
from typing import Any

from airflow_provider_b24.chat.files import File, check_file_name
from airflow_provider_b24.rest.errors import ConfigurationError

_TABLES = (".csv", ".xlsx", ".parquet")
_FIGURES = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp")
# Excel takes a text without it for one of the machine's old code page.
_BOM = "utf-8-sig"
_KINDS = (
    "Give a path, an ObjectStoragePath or its URL, bytes, a table of pandas, polars or pyarrow, a figure of matplotlib "
    "or plotly, or a File."
)


def several(files: object) -> list[Any]:
    """Several files, from a list of them; a template renders to text, which is read as JSON. They are not checked.

    :raises ConfigurationError: if it is no list, or an empty one.
    """
    problem = f"a {type(files).__name__}"
    if isinstance(files, str):
        # Not its words: an address may have a password in it.
        problem = "a text that is no JSON list"
        with suppress(ValueError, RecursionError):
            files = json.loads(files)
    if isinstance(files, Sequence) and not isinstance(files, (str, bytes, bytearray, memoryview)):
        if len(files):
            return list(files)
        problem = "empty"
    raise ConfigurationError(
        f"files is {problem}",
        advice="Give a list of files; a template makes its text with '| tojson'. One file alone goes into file.",
    )


def check_source(source: object, name: str | None = None, argument: str = "file") -> None:
    """Refuse what can become no file. Nothing is read.

    :param name: the file's name, where it is given.
    :raises ConfigurationError: saying what can.
    """
    if name is not None:
        check_file_name(name)
    if isinstance(source, (bytes, bytearray, memoryview)):
        if name is None:
            raise ConfigurationError(f"{argument} is bytes, and there is no name", advice="Such as name='report.pdf'.")
        return
    if isinstance(source, str) and (not source.strip() or "\0" in source):
        raise ConfigurationError(f"{argument} is {source!r}", advice=_KINDS)
    if isinstance(source, (File, str, os.PathLike)):
        return
    writer = _writer(source)
    if writer is None and not _is_object(source):
        raise ConfigurationError(f"{argument} is a {type(source).__name__}", advice=_KINDS)
    if writer is not None:
        _ending(name, *writer[:2])


def file_of(source: Any, name: str | None = None) -> File:
    """The file that something is, or becomes. Tables and figures are written in memory.

    :param name: its name; the ending is the format of a table or figure. Default: that of the path, ``table.csv``,
        ``figure.png``.
    :raises ConfigurationError: for what can become none; also where a library is missing, which it names.
    :raises FileError: if it can not be read, is empty or larger than 100 MB.
    """
    from airflow_provider_b24.chat.table_files import no_raw_errors

    check_source(source, name)
    if isinstance(source, File):
        return source if name is None else File(name, source.size, source.open)
    if isinstance(source, (bytes, bytearray, memoryview)):
        assert name is not None
        return File.of_bytes(name, bytes(source))
    if isinstance(source, str) and "://" in source:
        source = _object(source)
    if _is_object(source):
        return _of_object(source, name)
    if isinstance(source, (str, os.PathLike)):
        return File.of_path(source, name)
    writer = _writer(source)
    assert writer is not None
    default, endings, write = writer
    buffer = BytesIO()
    ending = _ending(name, default, endings)
    with no_raw_errors(ending) if ending in _TABLES else nullcontext():
        write(ending, buffer)
    return File.of_bytes(name or default, buffer.getvalue())


def _object(url: str) -> Any:
    from airflow.sdk import ObjectStoragePath

    try:
        return ObjectStoragePath(url)
    except (ImportError, ValueError) as caught:
        error: Exception = caught
    raise _no_storage(url.partition("://")[0], error)


def _no_storage(kind: str, error: Exception) -> ConfigurationError:
    # Not its words, which may hold the whole URL, and that a password.
    return ConfigurationError(
        f"a storage of the kind {kind}:// can not be used here ({type(error).__name__})",
        advice="Install the Airflow provider for it, and put its connection before the path: s3://my_conn@bucket/key.",
    )


def _is_object(source: object) -> bool:
    """Whether it is an ``ObjectStoragePath``, without importing that."""
    return any(kind.__name__ == "ObjectStoragePath" for kind in type(source).__mro__)


def _of_object(path: Any, name: str | None) -> File:
    from airflow_provider_b24.rest.content import unreadable

    shown = str(path.name) or "(no name)"
    error: Exception | None = None
    size = 0
    try:
        size = int(path.stat().st_size)
    except Exception as caught:
        error = caught
    if isinstance(error, (ImportError, ValueError)):
        raise _no_storage(str(path.protocol), error)
    if error is not None:
        raise unreadable(shown, error)
    return File(name or shown, size, partial(path.open, "rb"))


def _ending(name: str | None, default: str, endings: tuple[str, ...]) -> str:
    """The format that a name asks for, with its dot."""
    ending = os.path.splitext(name or default)[1].lower()
    if ending not in endings:
        raise ConfigurationError(
            f"name is {name!r}, and this can not be written as {ending or 'a file without an ending'}",
            advice=f"It can be written as {', '.join(endings)}.",
        )
    return ending


Write = Callable[[str, BytesIO], None]


def _writer(source: Any) -> tuple[str, tuple[str, ...], Write] | None:
    """What writes a table or figure: its usual name, the formats that it knows, and how it does it."""
    roots = {kind.__module__.partition(".")[0] for kind in type(source).__mro__}
    if "pandas" in roots and hasattr(source, "to_csv"):
        return "table.csv", _TABLES, partial(_write_pandas, source)
    if "polars" in roots and hasattr(source, "write_csv"):
        return "table.csv", _TABLES, partial(_write_polars, source)
    if "pyarrow" in roots and hasattr(source, "to_pandas"):
        return "table.csv", _TABLES, partial(_write_arrow, source)
    if "airflow_provider_b24" in roots and callable(getattr(source, "csv", None)):
        # What text.table() makes.
        return "table.csv", _TABLES[:1], partial(_write_ours, source)
    if callable(getattr(source, "savefig", None)):
        return "figure.png", _FIGURES[:5], partial(_write_matplotlib, source)
    if "plotly" in roots and callable(getattr(source, "to_image", None)):
        return "figure.png", _FIGURES, partial(_write_plotly, source)
    return None


def _write_ours(table: Any, ending: str, buffer: BytesIO) -> None:
    buffer.write(table.csv())


def _write_pandas(table: Any, ending: str, buffer: BytesIO) -> None:
    # Rows that are only numbered need no column for that.
    numbered = type(table.index).__name__ == "RangeIndex" and table.index.name is None
    if ending == ".csv":
        table.to_csv(buffer, index=not numbered, encoding=_BOM)
    elif ending == ".xlsx":
        with _needs("openpyxl"):
            table = table.to_frame() if table.ndim == 1 else table
            _pandas_for_excel(table).to_excel(buffer, index=not numbered)
    else:
        with _needs("pyarrow"):
            table = table.to_frame() if table.ndim == 1 else table
            table.to_parquet(buffer)


def _held_by_excel(values: Iterable[Any]) -> list[Any] | None:
    """Values as a sheet of Excel can hold them; None where it holds all of them as they are."""
    from airflow_provider_b24.chat.table_files import for_excel

    values = list(values)
    made = [for_excel(value) for value in values]
    return made if any(after is not before for after, before in zip(made, values, strict=True)) else None


def _pandas_for_excel(table: Any) -> Any:
    """A dataframe that Excel can hold: what has a time zone or too many digits is text."""
    from airflow_provider_b24.chat.table_files import for_excel

    def held(label: Any) -> Any:
        # A label of several levels is a tuple.
        return tuple(map(held, label)) if isinstance(label, tuple) else for_excel(label)

    table = table.copy(deep=False)
    for place, kind in enumerate(table.dtypes):
        made = None if kind.kind in "bf" else _held_by_excel(table.iloc[:, place].astype(object))
        if made is not None:
            table.isetitem(place, made)
    for axis in ("index", "columns"):
        labels = getattr(table, axis)
        if len(labels):
            setattr(table, axis, labels.map(held).set_names(labels.names))
    return table


def _polars_for_excel(table: Any) -> Any:
    """Like :func:`_pandas_for_excel`; all of such a column is text then."""
    import polars

    for name, kind in table.schema.items():
        made = None if kind.is_float() else _held_by_excel(table[name].to_list())
        if made is not None:
            texts = [None if value is None else str(value) for value in made]
            table = table.with_columns(polars.Series(name, texts, dtype=polars.String))
    return table


def _write_polars(table: Any, ending: str, buffer: BytesIO) -> None:
    if ending == ".csv":
        table.write_csv(buffer, include_bom=True)
    elif ending == ".xlsx":
        with _needs("xlsxwriter"):
            _polars_for_excel(table).write_excel(buffer)
    else:
        table.write_parquet(buffer)


def _write_arrow(table: Any, ending: str, buffer: BytesIO) -> None:
    if ending == ".csv":
        from pyarrow import csv

        buffer.write("\ufeff".encode())
        csv.write_csv(table, buffer)
    elif ending == ".xlsx":
        with _needs("pandas"):
            frame = table.to_pandas()
        _write_pandas(frame, ending, buffer)
    else:
        from pyarrow import parquet

        parquet.write_table(table, buffer)


def _write_matplotlib(figure: Any, ending: str, buffer: BytesIO) -> None:
    figure.savefig(buffer, format=ending[1:], bbox_inches="tight")


def _write_plotly(figure: Any, ending: str, buffer: BytesIO) -> None:
    try:
        buffer.write(figure.to_image(format=ending[1:]))
        return
    except (ImportError, RuntimeError, ValueError) as caught:
        # What says so depends on the version.
        if not isinstance(caught, ImportError) and "requires the kaleido package" not in str(caught).lower():
            raise
    raise _missing("kaleido")


@contextmanager
def _needs(library: str) -> Iterator[None]:
    """Says which library has to be installed, where one is missing."""
    missing = False
    try:
        yield
    except ImportError:
        missing = True
    if missing:
        raise _missing(library)


def _missing(library: str) -> ConfigurationError:
    return ConfigurationError(
        f"this format needs {library}, which is not installed", advice=f"pip install {library}, where the tasks run."
    )
