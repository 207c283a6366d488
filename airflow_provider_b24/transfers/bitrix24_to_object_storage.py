"""A list of the portal into files, wherever Airflow can write: a folder, S3, GCS, Azure …"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_b24.crm.row_files import Column, check_installed, check_kinds, columns_of, format_of
from airflow_provider_b24.operators.arguments import check_switches, check_unless_template, is_known, same_file
from airflow_provider_b24.operators.load import LoadsList
from airflow_provider_b24.rest.errors import ConfigurationError, FileError
from airflow_provider_b24.rest.lists import list_method

if TYPE_CHECKING:
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
    from airflow_provider_b24.operators.file_parts import FileParts
    from airflow_provider_b24.operators.loading import Load, Target


# So many are told; the rest are like them.
_MOST_MISFITS = 20


class Bitrix24ToObjectStorageOperator(LoadsList):
    """Load a list of the portal into a file: JSON lines, CSV or Parquet.

    ``Bitrix24ToObjectStorageOperator(task_id="deals", params={"entityTypeId": 2}, path="s3://b/{{ run_id }}.csv")``

    A file is whole or absent: it is written under a temporary name beside the path, and takes the place of an older one
    when it has all rows. Memory does not grow with the list.

    What :class:`~.operators.load.LoadsList` says of marks, backfills, retries and waiting holds here, with the
    parameters that are listed there. An incremental load writes what was changed, so that each run needs a path of its
    own, such as one with ``{{ run_id }}``: a path without a template, and one that the run before has written, are
    refused, for what is in that file would be lost. Two such files may have the same row; the one of the later run is
    newer.

    :param path: of the file, with its protocol: ``s3://bucket/deals/{{ run_id }}.jsonl.gz``.
        With ``rows_per_file``, of the folder that they are in. Templated.
    :param conn_id: the Airflow connection of the storage, unless the path has it (``s3://conn@bucket/…``) or needs
        none. Templated.
    :param format: ``jsonl``, ``jsonl.gz``, ``csv``, ``csv.gz`` or ``parquet`` (``pip install
        'airflow-provider-b24[parquet]'``). Default: the path's ending.
    :param rows_per_file: begin a further file after so many rows (a multiple of a few thousand is kept exactly):
        ``part-00000.parquet``, ``part-00001.parquet`` … Files of that name which an earlier load has left there are
        removed. Default: one file.
    :param typed: whether values are what the portal says of their fields. Default: for Parquet. JSON lines and CSV have
        them as the portal sends them, except that addresses of files lose their tokens.
    :param kinds: of fields that are to be another than what the portal says: ``{"ufCrmBudget": "string"}``; one of
        ``string``, ``integer``, ``number``, ``boolean``, ``date``, ``datetime``, ``money``, ``json``. For Parquet.
    :param misfits: what becomes of a value that its column in Parquet can not hold, such as a text in a field of
        numbers: ``fail`` (default) ends the load, and names row and field; ``null`` writes nothing for it, and tells it
        in the log.
    :param ids_path: write the ids of all rows that the list has now into this file as well, whenever they were changed:
        what a warehouse has and this file has not, was deleted. Templated.
    :return: beside the counts of a load, ``files`` (paths), ``bytes``, ``misfits`` (how many values this try has not
        written), and with ``ids_path`` ``ids``, their number; as XCom.
    """

    template_fields: Sequence[str] = (*LoadsList.template_fields, "path", "conn_id", "ids_path")
    template_fields_renderers: ClassVar[dict[str, str]] = {"rest_params": "json"}

    _misfits: int = 0

    def __init__(
        self,
        *,
        path: str,
        conn_id: str | None = None,
        format: str | None = None,
        rows_per_file: int | None = None,
        typed: bool | None = None,
        kinds: Mapping[str, str] | None = None,
        misfits: Literal["fail", "null"] = "fail",
        ids_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.conn_id = conn_id
        self.format = format
        self.rows_per_file = rows_per_file
        self.typed = typed
        self.kinds = kinds
        self.misfits = misfits
        self.ids_path = ids_path
        check_switches(typed=typed, or_none=True)
        if rows_per_file is not None:
            if isinstance(rows_per_file, bool) or not isinstance(rows_per_file, int) or rows_per_file < 1:
                raise ConfigurationError(f"rows_per_file is {rows_per_file!r}", advice="Give a number above zero.")
            pieces = -(-rows_per_file // self.rows_at_once)
            self.rows_at_once = -(-rows_per_file // pieces)
        check_kinds(kinds)
        if misfits not in ("fail", "null"):
            raise ConfigurationError(f"misfits is {misfits!r}", advice="It can be 'fail', 'null'.")
        if is_known(path):
            self._format()
        if ids_path is not None:
            check_unless_template(_check_path, ids_path, "ids_path")
            check_unless_template(format_of, ids_path)
        # The ending may be known where the rest is not.
        if format is not None or (isinstance(path, str) and "." in path.rpartition("}")[2]):
            format_of(path, format)
        if is_known(path):
            self._refuse_to_replace()
        if ids_path is not None and is_known(path) and is_known(ids_path):
            self._check_ids_path()

    def place(self) -> str:
        """The path: what is there is replaced."""
        return self.path

    def lacks(self, hook: Bitrix24Hook, kept: Mapping[str, Any] | None) -> str:
        """Whether the parts are there that an earlier try has written."""
        return self._parts([], kept).lost() if kept else ""

    @contextmanager
    def open_target(self, hook: Bitrix24Hook, load: Load) -> Iterator[Target]:
        """Files under temporary names."""
        self._misfits = 0
        self._check_ids_path()
        format_ = self._format()
        check_installed(format_)
        columns: list[Column] = []
        fields = self.fields(hook) if not format_.startswith("jsonl") or self.typed else {}
        wanted = format_ == "parquet" if self.typed is None else self.typed
        self.typed = wanted and bool(fields)
        if wanted and not fields:
            self.log.info("Nothing is known of the fields of %s: all values are texts, or as they are", self.method)
        if not format_.startswith("jsonl"):
            known = list_method(self.method, self.version)
            select = self._select(known.select if known is not None else "select")
            columns = columns_of(fields, key=known.key if known is not None else None, select=select, kinds=self.kinds)
            if not self.typed:
                columns = [Column(column.name) for column in columns]
        try:
            with self._parts(columns, load.kept) as parts:
                yield parts if self.typed else _WithoutTokens(parts)
        except FileNotFoundError as error:
            raise FileError(
                f"what this load has written for {self.path} is gone: {error}",
                advice="Another run may be writing to the same path: put {{ run_id }} into it, or set max_active_runs.",
            ) from error

    def complete(self, hook: Bitrix24Hook, target: Target) -> dict[str, Any]:
        """Write the ids, if they are wanted, and move all files to where they belong."""
        if self.ids_path is None:
            return {**target.finish(), "misfits": self._misfits}
        from airflow.sdk import ObjectStoragePath

        from airflow_provider_b24.operators.file_parts import FileParts

        known = list_method(self.method, self.version)
        name = known.key if known is not None else "id"
        path = ObjectStoragePath(self.ids_path, conn_id=self.conn_id)
        count = 0
        with FileParts(path, format_of(self.ids_path), [Column(name, "integer")]) as ids:
            for keys in self.keys(hook):
                ids.store([{name: int(key)} for key in keys])
                count += len(keys)
            counts = target.finish()
            written = ids.finish()
        return {
            **counts,
            "files": [*counts["files"], *written["files"]],
            "bytes": counts["bytes"] + written["bytes"],
            "ids": count,
            "misfits": self._misfits,
        }

    def _refuse_to_replace(self) -> None:
        """Refuse a path that is the same in each run, where a run writes what was changed alone."""
        told = self.since is not None or self.until is not None or str(self.full_reload).lower() == "true"
        # Whoever maps may well have put the run into the paths.
        if told or not is_known(self.method) or getattr(self, "_BaseOperator__from_mapped", False):
            return
        if self._is_incremental():
            raise ConfigurationError(
                f"path is {self.path!r} in each run, and the load is incremental: a run would replace the file of the "
                "one before by what was changed since",
                advice="Put {{ run_id }} into the path; or set incremental=False, to write everything in each run.",
            )

    def _format(self) -> str:
        self._check_path()
        return format_of(self.path.rstrip("/"), self.format)

    def _check_path(self) -> None:
        _check_path(self.path.rstrip("/") if self.rows_per_file and isinstance(self.path, str) else self.path, "path")

    def _check_ids_path(self) -> None:
        if self.ids_path is not None and same_file(self.ids_path, self.path):
            raise ConfigurationError(
                f"ids_path and path are both {self.path!r}", advice="Give the ids a file of their own."
            )

    def _parts(self, columns: Sequence[Column], kept: Mapping[str, Any] | None) -> FileParts:
        from airflow.sdk import ObjectStoragePath

        from airflow_provider_b24.operators.file_parts import FileParts

        path = ObjectStoragePath(self.path.rstrip("/"), conn_id=self.conn_id)
        return FileParts(
            path,
            self._format(),
            columns,
            rows_per_file=self.rows_per_file,
            kinds=self.kinds,
            unfit=None if self.misfits == "fail" else self._tell_misfit,
            kept=kept or None,
        )

    def _tell_misfit(self, error: ConfigurationError) -> None:
        self._misfits += 1
        if self._misfits <= _MOST_MISFITS:
            self.log.warning("%s. Nothing is written for it", error.description)

    def _select(self, name: str | None) -> Sequence[str]:
        found = next(
            (value for key, value in (self.rest_params or {}).items() if key.lower() == (name or "").lower()), ()
        )
        return found if isinstance(found, (list, tuple)) else ()


class _WithoutTokens:
    """A target of rows as the portal sends them: what they have of files must not open these."""

    def __init__(self, target: FileParts) -> None:
        self._target = target
        self.secure, self.kept, self.finish = target.secure, target.kept, target.finish

    def store(self, rows: list[Any]) -> bool:
        from airflow_provider_b24.crm.typed import without_tokens

        return self._target.store([without_tokens(row) for row in rows])


def _check_path(value: object, argument: str) -> None:
    if not isinstance(value, str) or not value.strip() or value.endswith("/"):
        raise ConfigurationError(
            f"{argument} is {value!r}", advice="Name a file, such as s3://bucket/deals/{{ run_id }}.parquet."
        )
