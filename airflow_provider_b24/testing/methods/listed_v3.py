"""Lists of version 3, one for each way there is to ask for a page."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.paging import INVALID_REQUEST, V3, Row, chosen, passes, sorted_by, window
from airflow_provider_b24.testing.registry import Call, method

_EVENT = "id timestampX severity auditTypeId moduleId itemId userId description"
_FOLLOWUP = ("callId", "callType", "initiatorId", "startDate", "endDate", "durationSeconds")
_HEAVY = {"transcription", "overview", "insights"}


def _selected(call: Call, rows: list[Row], known: set[str], default: list[str]) -> list[Row]:
    """A name of its own that an object has not is left out."""
    given = call.get("select")
    if given is not None and (not isinstance(given, list) or not all(isinstance(one, str) for one in given)):
        raise PortalError(V3 + "INVALIDSELECTEXCEPTION", f"Cannot read the select `{json.dumps(given)}`")
    return chosen(rows, [name for name in given if name in known] if given else default)


@method("humanresources.node.list", "humanresources", version=3)
def node_list(call: Call) -> Any:
    """Departments or teams, by ``pagination``: 50 to a page, 200 at most."""
    kind = call.get("type")
    if kind not in {"DEPARTMENT", "TEAM"}:
        raise PortalError(INVALID_REQUEST, "Required field `type` is not given", field="type")
    rows = [row for row in call.company.lists["humanresources.node"] if row["type"] == kind]
    offset, limit = window(call.get("pagination"), 200)
    known = {name for row in rows for name in row}
    return {"items": _selected(call, rows[offset : offset + limit], known, ["*"])}


def _events(call: Call) -> list[Row]:
    return [row for row in call.company.lists["main.eventlog"] if passes(call.get("filter"), row)]


@method("main.eventlog.list", "main", version=3)
def eventlog_list(call: Call) -> Any:
    """The log, by ``pagination``; it is filtered and sorted by any field."""
    rows = sorted_by(_events(call), call.get("order"), ("id", "ASC"))
    offset, limit = window(call.get("pagination"), None)
    return {"items": _selected(call, rows[offset : offset + limit], set(_EVENT.split()), ["*"])}


@method("main.eventlog.tail", "main", version=3)
def eventlog_tail(call: Call) -> Any:
    """What came after a point of the log."""
    cursor = {"field": "id", "order": "ASC", "value": 0, "limit": 50, **(call.get("cursor") or {})}
    conditions = call.get("filter")
    if isinstance(conditions, list) and any(one[:1] == [cursor["field"]] for one in conditions):
        raise PortalError(V3 + "INVALIDFILTEREXCEPTION", f"Cannot read the filter `{json.dumps(conditions)}`")
    rows = sorted_by(_events(call), {cursor["field"]: cursor["order"]}, ("id", "ASC"))
    beyond = [
        row
        for row in rows
        if (row[cursor["field"]] > cursor["value"]) == (cursor["order"] == "ASC")
        and row[cursor["field"]] != cursor["value"]
    ]
    _, limit = window({"limit": cursor["limit"]}, None)
    return {"items": _selected(call, beyond[:limit], set(_EVENT.split()), ["*"])}


@method("note.collection.list", "note", version=3)
def collection_list(call: Call) -> Any:
    """Knowledge bases in the order of their positions, by ``afterCursor`` and ``nextCursor``."""
    pagination = dict(call.get("pagination") or {})
    after = pagination.pop("afterCursor", None)
    limit = pagination.get("limit", 50)
    if not isinstance(limit, int) or not 1 <= limit <= 200:
        raise PortalError(INVALID_REQUEST, "Field `limit` is out of its range", field="pagination.limit")
    rows = sorted(call.company.lists["note.collection"], key=lambda row: (row["position"], row["id"]))
    if after is not None:
        rows = [row for row in rows if (row["position"], row["id"]) > (after["position"], after["id"])]
    items = rows[:limit]
    more = len(rows) > limit
    return {
        "items": items,
        "nextCursor": {"position": items[-1]["position"], "id": items[-1]["id"]} if more else None,
    }


@method("call.followup.list", "call", version=3)
def followup_list(call: Call) -> Any:
    """Calls of a period, the newest first, by ``afterCursor`` and ``hasMore``; 20 to a page with what is heavy."""
    begin, end = _period(call.get("filter"))
    direction = str((call.get("order") or {}).get("startDate", "desc")).lower()
    if direction not in {"asc", "desc"}:
        raise PortalError("invalid_order", "Invalid order")
    rows = [row for row in call.company.lists["call.followup"] if begin <= _moment(row["startDate"]) <= end]
    rows.sort(key=_place, reverse=direction == "desc")
    pagination = call.get("pagination") or {}
    after = pagination.get("afterCursor")
    if after is not None:
        point = (after["startDate"], after["id"])
        rows = [row for row in rows if (_place(row) > point if direction == "asc" else _place(row) < point)]
    select = call.get("select") or list(_FOLLOWUP)
    heavy = any(str(name).partition(".")[0] in _HEAVY for name in select)
    limit = pagination.get("limit", 50)
    if not isinstance(limit, int) or limit < 1:
        raise PortalError("invalid_pagination", "Invalid pagination")
    limit = min(limit, 20 if heavy else 200)
    items, more = rows[:limit], len(rows) > limit
    cursor = {"startDate": items[-1]["startDate"], "id": items[-1]["callId"]} if more else None
    return {"items": chosen(items, select), "hasMore": more, "afterCursor": cursor}


def _place(row: Row) -> tuple[str, int]:
    return row["startDate"], row["callId"]


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00"))


def _period(condition: Any) -> tuple[datetime, datetime]:
    refusal = PortalError("invalid_date_range", "Invalid date range: both from and to are required")
    try:
        period = condition["startDate"]
        begin, end = _moment(period["from"]), _moment(period["to"])
    except (KeyError, TypeError, ValueError):
        raise refusal from None
    if begin > end:
        raise refusal
    return begin, end
