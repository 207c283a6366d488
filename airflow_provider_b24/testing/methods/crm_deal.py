"""``crm.deal.*``: the older methods, with names in upper case and values as strings."""

from __future__ import annotations

from typing import Any

from airflow_provider_b24.testing.crm import BadField, Filter, parse_order
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.fields import described_classic, shown_row
from airflow_provider_b24.testing.methods.crm_item import field_values
from airflow_provider_b24.testing.registry import Call, Page, method
from airflow_provider_b24.testing.tables import PAGE, AnyRow, Row, Table
from airflow_provider_b24.testing.wire import items_of, to_int

_DEAL = 2


def _table(call: Call) -> Table:
    return call.company.crm.tables[_DEAL]


def _camel(table: Table) -> dict[str, str]:
    """Names in rows by the names that these methods use."""
    return {upper: name for name, (_, upper) in table.fields.items()}


def _text(value: Any, kind: str) -> Any:
    if isinstance(value, list):
        return [_text(item, kind) for item in value]
    if kind == "flag":
        return "1" if value == "Y" else "0"
    if value is None or isinstance(value, (str, dict)):
        return value
    return f"{value:.2f}" if kind == "double" else str(value)


Columns = list[tuple[str, str, str]]
"""Upper name, name and type of each field of an answer."""


def _columns(table: Table, select: set[str]) -> Columns:
    """The fields of a select; all of them for none and for ``*``."""
    every = not select or "*" in select
    return [
        # The database has 1 and 0 in user fields; those of the portal itself are Y and N.
        (upper, name, "flag" if kind == "boolean" and name in table.user_fields else kind)
        for name, (kind, upper) in table.fields.items()
        if every or upper in select
    ]


def _shown(row: AnyRow, call: Call, table: Table, columns: Columns) -> Row:
    fields = {name: table.fields[name] for _, name, _ in columns}
    values = shown_row(row, fields, table, call.company.zone)
    return {upper: _text(values[name], kind) for upper, name, kind in columns}


def _renamed(given: Any, camel: dict[str, str]) -> Any:
    """Names of a filter in camel case, at every depth; unknown ones go."""
    renamed: dict[str, Any] = {}
    for key, value in items_of(given):
        name = key.lstrip("!<>=@%")
        if key.isdigit():
            renamed[key] = _renamed(value, camel)
        elif name == "LOGIC":
            renamed["logic"] = value
        elif name in camel:
            renamed[key[: len(key) - len(name)] + camel[name]] = value
    return renamed


def _array(call: Call, name: str) -> Any:
    value = call.upper(name.upper())
    if value is not None and not isinstance(value, (dict, list)):
        raise PortalError("", f"Parameter '{name}' must be array.")
    return value


@method("crm.deal.list", "crm")
def deal_list(call: Call) -> Any:
    """A page of 50 deals; an unknown field in the filter is ignored, a wrong number counts as 0."""
    table = _table(call)
    start = to_int(call.upper("START"))
    camel = _camel(table)
    order = {camel.get(str(key), ""): value for key, value in items_of(_array(call, "order"))}
    try:
        given = _renamed(_array(call, "filter"), camel)
        condition = Filter(given, table.fields, strict=False, zone=call.company.zone)
    except BadField:
        raise PortalError("", "Failed to get list. General error.") from None
    keys = parse_order(order, table.fields, strict=False)
    ids, total = table.search(condition.tests, condition.id_range, keys, start)
    columns = _columns(table, {str(item) for _, item in items_of(call.upper("SELECT"))})
    items = table.written(ids, ("deal", *columns), lambda row: _shown(row, call, table, columns))
    if total is None:
        return Page(items, total=0)
    return Page(items, total=total, next=start + PAGE if start + PAGE < total else None)


def _row(call: Call, table: Table) -> Row:
    number = to_int(call.upper("ID"))
    if number <= 0:
        raise PortalError("", "ID is not defined or invalid.")
    if number not in table.rows:
        raise PortalError("", "Not found.")
    return table.rows[number]


@method("crm.deal.get", "crm")
def deal_get(call: Call) -> Any:
    """One deal."""
    table = _table(call)
    return _shown(_row(call, table), call, table, _columns(table, set()))


def _fields(call: Call, table: Table) -> Row:
    camel = _camel(table)
    given = {camel[upper]: value for upper, value in items_of(_array(call, "fields")) if upper in camel}
    try:
        return field_values(call, table, given)
    except PortalError as error:
        raise PortalError("", error.description) from None


@method("crm.deal.add", "crm")
def deal_add(call: Call) -> Any:
    """Create a deal; answers its id."""
    _array(call, "params")
    return call.company.crm.add(_DEAL, _fields(call, _table(call)), call.caller.user_id)["id"]


@method("crm.deal.update", "crm")
def deal_update(call: Call) -> Any:
    """Change a deal."""
    table = _table(call)
    row = _row(call, table)
    _array(call, "params")
    call.company.crm.update(_DEAL, row, _fields(call, table), call.caller.user_id)
    return True


@method("crm.deal.delete", "crm")
def deal_delete(call: Call) -> Any:
    """Delete a deal."""
    table = _table(call)
    table.rows.remove(_row(call, table)["id"])
    return True


@method("crm.deal.fields", "crm")
def deal_fields(call: Call) -> Any:
    """The fields of deals."""
    table = _table(call)
    return {upper: described_classic(table, name) for upper, name in _camel(table).items()}
