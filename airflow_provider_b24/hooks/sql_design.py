"""How a table is to be that rows of the portal go into. Light: DAG files import it."""

from __future__ import annotations

from typing import Literal

from airflow_provider_b24.rest.errors import ConfigurationError

ColumnNames = Literal["snake", "portal"]
Deleted = Literal["delete", "mark", "keep"]
Misfits = Literal["fail", "null"]

COLUMN_NAMES = ("snake", "portal")
DELETED = ("delete", "mark", "keep")
MISFITS = ("fail", "null")


def check_table(value: object) -> None:
    """Refuse what can be no table's name.

    :raises ConfigurationError: naming the argument.
    """
    parts = value.split(".") if isinstance(value, str) else []
    if not parts or not all(parts) or any({"\0", "%"} & {*part} for part in parts):
        raise ConfigurationError(
            f"table is {value!r}", advice="Give its name, or those of its schema and itself with a dot between them."
        )
