"""The records of files into the portal."""

from __future__ import annotations

import csv
import fnmatch
import gzip
import json
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

from airflow_provider_b24.operators.arguments import is_known, same_file
from airflow_provider_b24.operators.write import Record, WritesRecords
from airflow_provider_b24.rest.errors import ConfigurationError, FileError

_FORMATS = {"jsonl": ("jsonl", "ndjson"), "csv": ("csv",), "parquet": ("parquet",)}
_MANY = "*?["
_NO_DELIMITER = '"\r\n \0'
# Rows of a Parquet file that are in memory at once.
_AT_ONCE = 2000


class ObjectStorageToBitrix24Operator(WritesRecords):
    """Add, update or upsert an element of the portal for each record of files, 50 to a request.

    The files are read as a stream, in the order of their names: JSON lines, CSV with the names of its columns in the
    first line, or Parquet (needs ``pyarrow``). A null or an empty cell clears a field; a name that a line of JSON does
    not have leaves it alone. All values of a CSV file are texts.

    What is written how, what becomes of rejected rows and what happens after a crash:

    .. seealso:: :class:`~airflow_provider_b24.operators.write.WritesRecords`, whose arguments it has, too.

    :param path: of a file, or with ``*`` in its name of several: a path, or the URL of an ``ObjectStoragePath`` such as
        ``s3://my_conn@bucket/scores/*.parquet``. Templated.
    :param format: ``jsonl``, ``csv`` or ``parquet``. Default: by the ending of each file's name (``.jsonl``,
        ``.ndjson``, ``.csv``, ``.parquet``; with ``.gz`` behind it, it is unpacked).
    :param delimiter: between the cells of CSV. Default ``,``.
    :return: ``rows``, ``created``, ``updated``, ``rejected``, ``unknown`` and ``seconds``, as XCom.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = (*WritesRecords.template_fields, "path")

    def __init__(
        self,
        *,
        path: Any,
        format: Literal["jsonl", "csv", "parquet"] | None = None,
        delimiter: str = ",",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.format = format
        self.delimiter = delimiter
        if format is not None and format not in _FORMATS:
            raise ConfigurationError(f"format is {format!r}", advice=f"It can be {', '.join(_FORMATS)}.")
        if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in _NO_DELIMITER:
            raise ConfigurationError(
                f"delimiter is {delimiter!r}", advice="It is one character, and no quote, space or line break."
            )
        if is_known(path):
            if not (isinstance(path, str) and path.strip()) and not hasattr(path, "protocol"):
                raise ConfigurationError(f"path is {path!r}", advice="Name a file, or several: s3://bucket/new/*.csv.")
            self._format(str(path))
            if self.rejects_path is not None and is_known(self.rejects_path) and _is_among(self.rejects_path, path):
                raise ConfigurationError(
                    f"rejects_path is {str(self.rejects_path)!r}, which is read from",
                    advice="Give rejected rows a file of their own.",
                )

    def sources(self) -> Sequence[Any]:
        """The files that there are by now."""
        return self._files()

    def records(self) -> Generator[Record, None, None]:
        """The records of all files."""
        from airflow.sdk.lineage import get_hook_lineage_collector

        for file in self._files():
            read = {"jsonl": _json_lines, "csv": self._cells, "parquet": _parquet}[self._format(file.name)]
            self.log.info("Reading %s", file.name)
            # Airflow notes what is read at once, and not what is read as a stream.
            get_hook_lineage_collector().add_input_asset(context=file, uri=str(file))
            with _told(str(file)), file.open("rb") as opened:
                yield from read(_unpacked(opened, file.name), file.name)

    def _files(self) -> list[Any]:
        from airflow.sdk import ObjectStoragePath

        path = ObjectStoragePath(self.path)
        if not any(sign in path.name for sign in _MANY):
            return [path]
        files = sorted(path.parent.glob(path.name), key=str)
        if not files:
            raise FileError(f"there is no file {path.name}", advice="Has the task before it written one?")
        return files

    def _format(self, name: str) -> str:
        if self.format is not None:
            return self.format
        ending = name.lower().removesuffix(".gz").rpartition(".")[2]
        for known, endings in _FORMATS.items():
            if ending in endings:
                return known
        raise ConfigurationError(
            f"the format of {name.rpartition('/')[2]!r} is not told by its ending",
            advice=f"Give format: {', '.join(_FORMATS)}.",
        )

    def _cells(self, opened: Any, name: str) -> Iterator[Record]:
        from io import TextIOWrapper

        from airflow_provider_b24.crm.row_files import allow_long_cells

        allow_long_cells()
        with TextIOWrapper(opened, "utf-8-sig", newline="") as text:
            rows = csv.DictReader(text, delimiter=self.delimiter)
            heading = rows.fieldnames or []
            twice = [column for column in heading if heading.count(column) > 1]
            if twice:
                raise ConfigurationError(
                    f"{name} has two columns {twice[0]!r}",
                    advice="Give one another name: only one of them can be sent.",
                )
            for row in rows:
                if None in row or None in row.values():
                    raise ConfigurationError(
                        f"line {rows.line_num} of {name} has another number of cells than the first line",
                        advice=f"The cells are separated by {self.delimiter!r}; see delimiter.",
                    )
                yield row


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Say of a file that can not be read which it is, and whether a retry may find it otherwise."""
    try:
        yield
    except FileNotFoundError:
        raise FileError(f"there is no file {name}", advice="Has the task before it written one?") from None
    except PermissionError as error:
        raise FileError(
            f"{name} may not be read: {error.strerror or error}", advice="Allow it to the worker."
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _broken(name, "gzip", error) from None
    except UnicodeDecodeError as error:
        raise _broken(name, "text in UTF-8", error) from None
    except csv.Error as error:
        raise _broken(name, "CSV", error) from None


def _broken(name: str, what: str, error: Exception) -> ConfigurationError:
    # The text of an error in decoding has a part of the file.
    words = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
    return ConfigurationError(
        f"{name} is no whole {what}: {words}", advice="Write the file again, then clear the task."
    )


def _is_among(file: Any, path: Any) -> bool:
    """Whether a file is one of those that a path with ``*`` names."""
    name, of = str(file).rpartition("/"), str(path).rpartition("/")
    return same_file(file, path) or (same_file(name[0] or ".", of[0] or ".") and fnmatch.fnmatchcase(name[2], of[2]))


def _unpacked(opened: Any, name: str) -> Any:
    if not name.lower().endswith(".gz"):
        return opened
    return gzip.GzipFile(fileobj=opened)


def _json_lines(opened: Any, name: str) -> Iterator[Record]:
    for number, line in enumerate(opened, 1):
        if not line.strip():
            continue
        record = None
        with suppress(ValueError, RecursionError):
            record = json.loads(line)
        if not isinstance(record, dict):
            raise ConfigurationError(f"line {number} of {name} is no JSON object", advice="It needs one in each line.")
        yield record


def _parquet(opened: Any, name: str) -> Iterator[Record]:
    missing = False
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        missing = True
    if missing:
        raise ConfigurationError(f"{name} needs pyarrow", advice="pip install 'airflow-provider-b24[parquet]'.")
    try:
        for batch in parquet.ParquetFile(opened).iter_batches(_AT_ONCE):
            yield from batch.to_pylist()
    except ArrowException as error:
        raise _broken(name, "Parquet", error) from None
