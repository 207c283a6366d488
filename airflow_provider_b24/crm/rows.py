"""A record with named columns becomes the parameters of a call that adds or updates. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from airflow_provider_b24.crm.entities import ENTITIES, Entity
from airflow_provider_b24.rest.errors import ConfigurationError

Record = Mapping[str, Any]


def check_shape(method: str) -> None:
    """Refuse a method of which it is not known where the values of an element go.

    :raises ConfigurationError: saying what to do instead.
    """
    _entity(method)


def shaped(
    record: Record, method: str, params: Mapping[str, Any] | None = None, columns: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The parameters of one call.

    :param record: the values by column.
    :param method: adds or updates, such as ``crm.item.update``.
    :param params: what is the same for all rows, such as ``entityTypeId``.
    :param columns: the columns that are sent, and the field that each goes to; ``id`` is the element's id. Default: all
        columns, each to the field of its name.
    :raises ConfigurationError: for a column that is missing, a value that no field can hold, and an id where the portal
        is to give one.
    """
    entity, adds = _entity(method)
    if columns is not None:
        missing = [name for name in columns if name not in record]
        if missing:
            raise ConfigurationError(f"the row has no column {missing[0]!r}", method=method, advice="See columns.")
        record = {field: record[name] for name, field in columns.items()}
    ids = [name for name in record if name.lower() in ("id", entity.id.lower())]
    if len(ids) > 1:
        raise ConfigurationError(f"the row has the columns {ids}", method=method, advice="One of them is the id.")
    if ids and adds:
        raise ConfigurationError(
            f"the row has a column {ids[0]!r}, and the portal gives a new element its id itself",
            method=method,
            advice="Leave it out, or send it to another field: columns={'id': 'originId', …}.",
        )
    constants = dict(params or {})
    fields = {name: _value(name, value) for name, value in record.items() if name not in ids}
    made = {**constants, entity.fields: {**(constants.get(entity.fields) or {}), **fields}}
    if ids:
        made[entity.id] = record[ids[0]]
    return made


def _entity(method: str) -> tuple[Entity, bool]:
    """The elements of a method, and whether it adds them."""
    family, _, verb = method.lower().rpartition(".")
    entity = ENTITIES.get(family)
    if entity is None or verb not in ("add", "update"):
        raise ConfigurationError(
            "it is not known where this method has the values of an element",
            method=method,
            advice="Give row=…, a function that makes the parameters of a call out of a record. Known are add and "
            f"update of {', '.join(ENTITIES)}.",
        )
    return entity, verb == "add"


def _value(name: str, value: Any) -> Any:
    """A value as a field takes it. What is sent as it is, and what is refused later, is left alone."""
    if isinstance(value, bool):
        # The vendor's fields have Y and N; user fields keep a number, for which any text would be true.
        return value if name.lower().startswith("uf") else "NY"[value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(
            f"{name} is {value}, which is no number to the portal",
            advice="Make it a number, or NULL to clear the field.",
        )
    if isinstance(value, dt.datetime):
        # The form that the vendor documents has no fractions.
        return value.isoformat(timespec="seconds")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise ConfigurationError(
            f"{name} is binary, and a field takes a text", advice="Encode it in the query, or give row=…."
        )
    # numpy's and the like
    plain: Callable[[], Any] | None = getattr(value, "item", None)
    return _value(name, plain()) if callable(plain) and not isinstance(value, Mapping) else value
