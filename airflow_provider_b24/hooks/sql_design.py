"""How a table is to be that rows of the portal go into. Light: DAG files import it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from airflow_provider_b24.rest.errors import ConfigurationError

ColumnNames = Literal["snake", "portal"]
Deleted = Literal["delete", "mark", "keep"]
Misfits = Literal["fail", "null"]

COLUMN_NAMES = ("snake", "portal")
DELETED = ("delete", "mark", "keep")
MISFITS = ("fail", "null")


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuse names that no column can have, and one for two fields.

    How long they may be is the database's affair.

    :param columns: the names by field.
    :raises ConfigurationError: naming the field.
    """
    owners: dict[str, str] = {}
    for field, name in columns.items():
        if not name or {"\0", "%"} & {*name}:
            raise ConfigurationError(
                f"columns has {field!r}: {name!r}", advice="The name of a column is not empty, and has no %."
            )
        owner = owners.setdefault(name.lower(), field)
        if owner != field:
            raise ConfigurationError(
                f"columns gives {owner!r} and {field!r} the column {name!r}", advice="Give one of them another name."
            )


def check_table(value: object) -> None:
    """Refuse what can be no table's name.

    :raises ConfigurationError: naming the argument.
    """
    parts = value.split(".") if isinstance(value, str) else []
    if not parts or not all(parts) or any({"\0", "%"} & {*part} for part in parts):
        raise ConfigurationError(
            f"table is {value!r}", advice="Give its name, or those of its schema and itself with a dot between them."
        )
