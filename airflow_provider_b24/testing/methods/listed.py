"""Lists of version 2 that are paged in different ways: of the CRM, the catalog, and those that people define."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_b24.testing.errors import PortalError, missing_parameter
from airflow_provider_b24.testing.paging import Row, Types, chosen, found, page
from airflow_provider_b24.testing.registry import Call, Page, method
from airflow_provider_b24.testing.wire import is_empty, items_of, to_int

_STATUS: Types = {
    "ID": "integer", "ENTITY_ID": "string", "STATUS_ID": "string", "NAME": "string", "SORT": "integer",
    "SYSTEM": "string",
}  # fmt: skip
_ACTIVITY: Types = {
    "ID": "integer", "OWNER_ID": "integer", "OWNER_TYPE_ID": "integer", "SUBJECT": "string", "COMPLETED": "string",
    "RESPONSIBLE_ID": "integer", "START_TIME": "datetime", "CREATED": "datetime", "LAST_UPDATED": "datetime",
}  # fmt: skip
_ELEMENT: Types = {
    "NAME": "string", "IBLOCK_SECTION_ID": "integer", "CREATED_BY": "integer", "DATE_CREATE": "datetime",
    "SORT": "integer",
}  # fmt: skip
_PRODUCT: Types = {
    "id": "integer", "iblockId": "integer", "name": "string", "active": "string", "dateCreate": "datetime",
    "timestampX": "datetime",
}  # fmt: skip
_WITH_CATEGORIES = {1: False, 2: True}


def _as_text(rows: Sequence[Row]) -> list[Row]:
    """Numbers as the classic methods write them."""
    return [{name: str(value) if isinstance(value, int) else value for name, value in row.items()} for row in rows]


@method("crm.status.list", "crm")
def status_list(call: Call) -> Any:
    """All entries of the reference lists in one answer."""
    rows = found(call.company.lists["crm.status"], _STATUS, call.get("filter"), call.get("order"), ("SORT", False))
    return Page(_as_text(rows), total=len(rows))


@method("crm.category.list", "crm")
def category_list(call: Call) -> Any:
    """The pipelines of a type, all of them in one answer."""
    if call.get("entityTypeId") is None:
        raise missing_parameter("entityTypeId")
    number = to_int(call.get("entityTypeId"))
    if number not in call.company.crm.tables:
        raise PortalError("NOT_FOUND", "Smart process is not found")
    if not _WITH_CATEGORIES.get(number, number >= 128):
        raise PortalError("ENTITY_TYPE_NOT_SUPPORTED", f"Entity type `{number}` is not supported")
    rows = [row for row in call.company.lists["crm.category"] if row["entityTypeId"] == number]
    return Page({"categories": rows}, total=len(rows))


@method("crm.activity.list", "crm")
def activity_list(call: Call) -> Any:
    """A page of 50 activities, by their beginning unless ``order`` says otherwise."""
    default = ("START_TIME", False)
    rows = found(call.company.lists["crm.activity"], _ACTIVITY, call.get("filter"), call.get("order"), default)
    return page(rows, call.get("start"), lambda rows: _as_text(chosen(rows, call.get("select"))))


@method("crm.timeline.logmessage.list", "crm")
def logmessage_list(call: Call) -> Any:
    """A page of 10 entries of one element's timeline, the newest first unless ``order`` says otherwise."""
    for name in ("entityTypeId", "entityId"):
        if call.get(name) is None:
            raise missing_parameter(name)
    owner = (to_int(call.get("entityTypeId")), to_int(call.get("entityId")))
    rows = [row for row in call.company.lists["crm.timeline.logmessage"] if row["_of"] == owner]
    rows = found(rows, {"id": "integer", "created": "datetime"}, None, call.get("order"), ("id", True))
    shown = [{name: value for name, value in row.items() if name != "_of"} for row in rows]
    return page(shown, call.get("start"), list, 10)


@method("lists.element.get", "lists")
def element_get(call: Call) -> Any:
    """A page of 50 elements of a list; a filter by their ids is not among those there are."""
    for names in (("IBLOCK_TYPE_ID",), ("IBLOCK_ID", "IBLOCK_CODE")):
        if all(is_empty(call.upper(name)) for name in names):
            raise PortalError("ERROR_REQUIRED_PARAMETERS_MISSING", f"Required parameter `{names[0]}` is missing")
    wanted = str(call.upper("IBLOCK_ID") or call.upper("IBLOCK_CODE"))
    rows = [row for row in call.company.lists["lists.element"] if wanted in {str(row["_list"]), row["_code"]}]
    if not rows:
        raise PortalError("ERROR_IBLOCK_NOT_FOUND", "Iblock not found")
    if call.upper("ELEMENT_ID") is not None:
        rows = [row for row in rows if row["ID"] == to_int(call.upper("ELEMENT_ID"))]
    types = {**_ELEMENT, **{name: "string" for row in rows for name in row if name.startswith("PROPERTY_")}}
    sortable = {**types, "ID": "integer"}
    rows = found(rows, types, call.upper("FILTER"), None, None)
    rows = found(rows, sortable, None, call.upper("ELEMENT_ORDER"), None)

    def shown(page: Sequence[Row]) -> list[Row]:
        named = [{name: value for name, value in row.items() if name[0] != "_"} for row in page]
        return _as_text(chosen(named, call.upper("SELECT")))

    return page(rows, call.upper("START"), shown)


@method("catalog.product.list", "catalog")
def product_list(call: Call) -> Any:
    """A page of 50 products of one catalog."""
    names = [str(name) for _, name in items_of(call.get("select"))]
    if not {"id", "iblockId"} <= set(names):
        raise PortalError(0, "Required select fields: id, iblockId")
    if not any(key.lstrip("=@") == "iblockId" for key, _ in items_of(call.get("filter"))):
        raise PortalError(0, "Required filter fields: iblockId")
    rows = found(call.company.lists["catalog.product"], _PRODUCT, call.get("filter"), call.get("order"), None)
    return page(rows, call.get("start"), lambda rows: {"products": chosen(rows, names)})
