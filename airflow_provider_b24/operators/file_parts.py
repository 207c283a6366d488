"""Rows on their way into an object storage: parts under temporary names, which become whole files at once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_b24.crm.row_files import Column, RowFile, Unfit, further_columns, row_file
from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath
    from typing_extensions import Self

# A part of a file that is to be one: what a later try need not read again.
_PART_ROWS = 50_000
# Stores that have no folders: one that is "made" there would be an object, or a bucket.
_FLAT = frozenset({"s3", "s3a", "gs", "gcs", "az", "adl", "abfs", "abfss", "wasb", "wasbs", "oss", "memory"})


class FileParts:
    """One file, or several with so many rows each.

    Everything is written into a folder beside the path, ``_NAME.loading``, and moved when it is whole, in a store that
    can only copy by a copy within the store. What earlier tries have left there is removed, except the parts that
    belong to this load.

    :param path: of the file; of the folder, where there may be several.
    :param format_: one of :data:`~.crm.row_files.FORMATS`.
    :param columns: as far as they are known. Those that rows have besides follow behind.
    :param rows_per_file: a further file is begun after so many rows; None for one file. Rows that are stored together
        stay together.
    :param kinds: of fields that are to be another than what the portal says.
    :param unfit: see :func:`~.crm.row_files.row_file`.
    :param kept: what an earlier try has kept.
    """

    def __init__(
        self,
        path: ObjectStoragePath,
        format_: str,
        columns: Sequence[Column],
        *,
        rows_per_file: int | None = None,
        kinds: Mapping[str, str] | None = None,
        unfit: Unfit | None = None,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        self._path = path
        self._format = format_
        self._columns = [Column(*one) for one in kept["columns"]] if kept else list(columns)
        self._parts: list[list[Any]] = [list(part) for part in kept["parts"]] if kept else []
        self._kept_format = kept["format"] if kept else format_
        self._rows_per_file = rows_per_file
        self._kinds = kinds
        self._unfit = unfit
        self._fs: Any = path.fs
        place, _, name = str(path.path).rstrip("/").rpartition("/")
        self._folder = f"{place}/_{name}.loading"
        self._out: IO[bytes] | None = None
        self._file: RowFile | None = None
        self._name = ""
        self._rows = 0

    def __enter__(self) -> Self:
        self._fs.invalidate_cache()
        path = str(self._path.path)
        if self._has_folders and (self._fs.isfile(path) if self._rows_per_file else self._fs.isdir(path)):
            raise ConfigurationError(
                f"{self._path} is a {'file' if self._rows_per_file else 'folder'}",
                advice="With rows_per_file, the path is a folder, otherwise a file: remove it, or name another one.",
            )
        ours = {name for name, *_ in self._parts}
        for left in self._there(self._folder):
            if left not in ours:
                with suppress(FileNotFoundError):
                    self._fs.rm(f"{self._folder}/{left}", recursive=True)
        self._make_folder(self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        # What is not whole is of no use; whoever comes next would remove it too.
        if self._out is None:
            return
        for end in (self._file.close if self._file is not None else None, self._out.close):
            with suppress(Exception):
                if end is not None:
                    end()
        with suppress(Exception):
            self._fs.rm(f"{self._folder}/{self._name}")

    def lost(self) -> str:
        """Why it can not be gone on with what an earlier try has kept; empty if it can."""
        self._fs.invalidate_cache()
        if self._kept_format != self._format:
            return f"the format was {self._kept_format}"
        there = self._there(self._folder)
        missing = [name for name, *_ in self._parts if name not in there]
        return f"{self._folder}/{missing[0]} is not there any more" if missing else ""

    def store(self, rows: list[Any]) -> bool:
        """Write rows; True if that ends a part."""
        if not self._format.startswith("jsonl"):
            further = further_columns(self._columns, rows, self._kinds)
            if further:
                self.secure()
                self._columns += further
        if self._file is None:
            self._begin(f"{len(self._parts):05}-{secrets.token_hex(3)}")
        assert self._file is not None
        self._file.write(rows)
        self._rows += len(rows)
        return self._rows >= (self._rows_per_file or _PART_ROWS) and self.secure()

    def secure(self) -> bool:
        """End the part that is being written, if one is."""
        if self._file is not None:
            rows, name = self._rows, self._end()
            self._parts.append([name, rows, len(self._columns)])
        return True

    def kept(self) -> dict[str, Any]:
        """The parts that are whole, and the columns by now."""
        return {
            "columns": [[column.name, column.kind, column.multiple] for column in self._columns],
            "parts": [list(part) for part in self._parts],
            "format": self._format,
        }

    def finish(self) -> dict[str, Any]:
        """Move what is whole to where it belongs, in place of what there was."""
        self.secure()
        if not self._parts:
            self._begin(f"00000-{secrets.token_hex(3)}")
            self._parts.append([self._end(), 0, len(self._columns)])
        if self._rows_per_file is None:
            self._make_folder(self._folder.rpartition("/")[0])
            sources, targets = [self._joined(self._parts)], [self._path]
        else:
            self._make_folder(str(self._path.path))
            sources = [self._joined([part]) for part in self._parts]
            targets = [self._path / f"part-{number:05}.{self._format}" for number in range(len(sources))]
        for source, target in zip(sources, targets, strict=True):
            self._fs.mv(f"{self._folder}/{source}", str(target.path))
        self._fs.invalidate_cache()
        if self._rows_per_file is not None:
            ours = {target.name for target in targets}
            for name in self._there(str(self._path.path)):
                if name not in ours and re.fullmatch(rf"part-[0-9]{{5,}}\.{re.escape(self._format)}", name):
                    self._fs.rm(f"{self._path.path}/{name}")
        with suppress(FileNotFoundError):
            self._fs.rm(self._folder, recursive=True)
        self._tell(targets)
        return {
            "files": [str(target) for target in targets],
            "bytes": sum(int(self._fs.size(str(target.path))) for target in targets),
        }

    def _joined(self, parts: Sequence[Sequence[Any]]) -> str:
        """The name of a file with the rows of these parts and all columns."""
        name, _, columns = parts[0]
        if len(parts) == 1 and (columns == len(self._columns) or self._format.startswith("jsonl")):
            return str(name)
        self._begin(f"{name}-whole")
        assert self._file is not None
        for name, _, columns in parts:
            with self._fs.open(f"{self._folder}/{name}", "rb") as part:
                self._file.join(part, self._columns[:columns])
        return self._end()

    def _begin(self, name: str) -> None:
        self._name, self._rows = name, 0
        self._out = self._fs.open(f"{self._folder}/{name}", "wb")
        assert self._out is not None
        self._file = row_file(self._format, self._out, self._columns, self._unfit)

    def _end(self) -> str:
        assert self._file is not None
        assert self._out is not None
        self._file.close()
        self._out.close()
        self._file = self._out = None
        return self._name

    def _there(self, folder: str) -> list[str]:
        with suppress(FileNotFoundError, NotADirectoryError):
            return [str(one).rstrip("/").rpartition("/")[2] for one in self._fs.ls(folder, detail=False)]
        return []

    @property
    def _has_folders(self) -> bool:
        return self._path.protocol not in _FLAT

    def _make_folder(self, folder: str) -> None:
        if self._has_folders:
            self._fs.makedirs(folder, exist_ok=True)

    def _tell(self, targets: Sequence[ObjectStoragePath]) -> None:
        """Airflow's lineage learns of the files, and not of their parts."""
        from airflow.sdk.lineage import get_hook_lineage_collector

        for target in targets:
            get_hook_lineage_collector().add_output_asset(context=target, uri=str(target))
