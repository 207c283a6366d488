"""``crm.item.*``"""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from airflow_provider_b24.testing.crm import CURRENCIES, READ_ONLY, STAGES, BadField, Filter, parse_order, stored_time
from airflow_provider_b24.testing.errors import PortalError, missing_parameter
from airflow_provider_b24.testing.fields import described, shown_row, under_both_names, user_value, visible
from airflow_provider_b24.testing.registry import Call, Page, method
from airflow_provider_b24.testing.tables import PAGE, AnyRow, Row, Table
from airflow_provider_b24.testing.wire import is_numeric, is_yes, items_of, to_int

_NUMBERS = frozenset({"integer", "user", "crm_entity", "crm_category"})


def _table(call: Call) -> tuple[int, Table]:
    number = call.get("entityTypeId")
    if number is None:
        raise missing_parameter("entityTypeId")
    table = call.company.crm.tables.get(to_int(number))
    if table is None:
        raise PortalError("NOT_FOUND", "Smart process is not found")
    return to_int(number), table


def _row(call: Call, table: Table) -> Row:
    if call.get("id") is None:
        raise missing_parameter("id")
    row = table.rows.get(to_int(call.get("id")))
    if row is None:
        raise PortalError("NOT_FOUND", "Item is not found")
    return row


def _visible(call: Call, table: Table) -> dict[str, tuple[str, str]]:
    return visible(table, original=is_yes(call.get("useOriginalUfNames")))


def _shown(row: AnyRow, call: Call, number: int, table: Table) -> Row:
    return shown_row(row, _visible(call, table), table, call.company.zone) | {"entityTypeId": number}


@method("crm.item.list", "crm")
def item_list(call: Call) -> Any:
    """A page of 50; ``start=-1`` forbids counting, then ``total`` is 0 and there is no ``next``."""
    number, table = _table(call)
    for name in ("filter", "order", "select"):
        value = call.get(name)
        if value is not None and not isinstance(value, (dict, list)) and value != "":
            raise PortalError(
                "100", f"Invalid value {{{value}}} to match with parameter {{{name}}}. Should be value of type array."
            )
    start = to_int(call.get("start"))
    fields = _visible(call, table)
    try:
        condition = Filter(call.get("filter"), fields, strict=True, zone=call.company.zone)
    except BadField as error:
        raise PortalError("INVALID_ARG_VALUE", f"Invalid filter: field '{error.name}' {error.reason}") from None
    try:
        order = parse_order(call.get("order"), fields, strict=True)
    except BadField as error:
        reason = f"field '{error.name}' {error.reason}" if "not allowed" in error.reason else error.reason
        raise PortalError("INVALID_ARG_VALUE", f"Invalid order: {reason}") from None
    ids, total = table.search(condition.tests, condition.id_range, order, start)
    select = {str(item) for _, item in items_of(call.get("select"))}
    every = not select or "*" in select
    chosen = fields if every else {name: one for name, one in fields.items() if name in select}
    number_too = {"entityTypeId": number} if every else {}
    items = table.written(
        ids, ("item", every, *chosen), lambda row: shown_row(row, chosen, table, call.company.zone) | number_too
    )
    if total is None:
        return Page({"items": items}, total=0)
    return Page({"items": items}, total=total, next=start + PAGE if start + PAGE < total else None)


@method("crm.item.get", "crm")
def item_get(call: Call) -> Any:
    """One element."""
    number, table = _table(call)
    return {"item": _shown(_row(call, table), call, number, table)}


def _fields(call: Call, table: Table) -> Row:
    """The given fields as the columns hold them; unknown and read-only ones are ignored."""
    given = call.get("fields")
    if given is None:
        raise missing_parameter("fields")
    if not isinstance(given, (dict, list)):
        raise PortalError(
            "100", f"Invalid value {{{given}}} to match with parameter {{fields}}. Should be value of type array."
        )
    names = _visible(call, table)
    return field_values(call, table, {name: value for name, value in items_of(given) if name in names})


def field_values(call: Call, table: Table, given: Row) -> Row:
    """Given fields as the columns hold them; read-only ones are ignored.

    :raises PortalError: ``CRM_FIELD_ERROR_VALUE_NOT_VALID``.
    """
    made = {one: field for name, field in table.user_fields.items() for one in (name, field.name)}
    values: Row = {}
    for name, value in given.items():
        if name in made:
            try:
                values[name] = user_value(made[name], value, call.company.zone)
            except ValueError:
                raise _invalid(name) from None
        elif name not in READ_ONLY:
            values[name] = _field_value(name, value, table.fields[name][0], call.company.zone)
    return under_both_names(table, values)


def _invalid(name: str) -> PortalError:
    return PortalError("CRM_FIELD_ERROR_VALUE_NOT_VALID", f'Invalid value of the field "{name}"')


def _field_value(name: str, value: Any, kind: str, zone: tzinfo) -> Any:
    invalid = _invalid(name)
    if value is None or value == "":
        return None
    if isinstance(value, (dict, list)):
        raise invalid
    if kind in _NUMBERS:
        if not is_numeric(value):
            raise invalid
        return int(value)
    if kind == "double":
        try:
            return float(value)
        except ValueError:
            raise invalid from None
    if kind in {"date", "datetime"}:
        try:
            return stored_time(value, kind, zone)
        except ValueError:
            raise invalid from None
    if kind == "boolean":
        return "Y" if value is True or str(value) in {"1", "Y"} else "N"
    if (name == "stageId" and value not in STAGES) or (name == "currencyId" and value not in CURRENCIES):
        raise invalid
    return str(value)


@method("crm.item.add", "crm")
def item_add(call: Call) -> Any:
    """Create an element."""
    number, table = _table(call)
    row = call.company.crm.add(number, _fields(call, table), call.caller.user_id)
    return {"item": _shown(row, call, number, table)}


@method("crm.item.update", "crm")
def item_update(call: Call) -> Any:
    """Change an element."""
    number, table = _table(call)
    row = _row(call, table)
    call.company.crm.update(number, row, _fields(call, table), call.caller.user_id)
    return {"item": _shown(row, call, number, table)}


@method("crm.item.delete", "crm")
def item_delete(call: Call) -> Any:
    """Delete an element; answers an empty array."""
    _, table = _table(call)
    table.rows.remove(_row(call, table)["id"])
    return []


@method("crm.item.fields", "crm")
def item_fields(call: Call) -> Any:
    """The fields of a type."""
    _, table = _table(call)
    original = is_yes(call.get("useOriginalUfNames"))
    names = dict(zip(visible(table, original=original), table.fields, strict=True))
    return {"fields": {shown: described(table, name) for shown, name in names.items()}}
