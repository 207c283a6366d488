"""How a table is to be that rows of the portal go into. Light: DAG files import it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from airflow_provider_b24.rest.errors import ConfigurationError

ColumnNames = Literal["snake", "portal"]
Deleted = Literal["delete", "mark", "keep"]
Misfits = Literal["fail", "null"]

COLUMN_NAMES = ("snake", "portal")
DELETED = ("delete", "mark", "keep")
MISFITS = ("fail", "null")


@dataclass(frozen=True)
class Design:
    """How a table is to be.

    :ivar table: its name, with that of its schema before it if need be.
    :ivar key: the field of the id in the portal's rows.
    :ivar kinds: of the portal's fields, by their names, as far as they are known; of others, values tell it.
    :ivar style: how columns are named after fields.
    :ivar names: of columns, by field, where they are to be others.
    :ivar create: whether the table is created where it is not there.
    :ivar add: whether columns are added to it for fields that have none.
    :ivar deleted: what becomes of rows that are gone from the portal.
    :ivar left_out: fields that go into no column.
    :ivar misfits: what becomes of a value that its column can not hold: ``fail``, or ``null``.
    """

    table: str
    key: str
    kinds: Mapping[str, str]
    style: ColumnNames = "snake"
    names: Mapping[str, str] | None = None
    create: bool = False
    add: bool = True
    deleted: Deleted = "delete"
    misfits: Misfits = "fail"
    left_out: Collection[str] = ()


def check_table(value: object) -> None:
    """Refuse what can be no table's name.

    :raises ConfigurationError: naming the argument.
    """
    parts = value.split(".") if isinstance(value, str) else []
    if not parts or not all(parts) or any({"\0", "%"} & {*part} for part in parts):
        raise ConfigurationError(
            f"table is {value!r}", advice="Give its name, or those of its schema and itself with a dot between them."
        )
