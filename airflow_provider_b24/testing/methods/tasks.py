"""``tasks.task.*``, in version 2 and in version 3."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_b24.testing.crm import BadField, Filter
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.registry import Call, Page, method
from airflow_provider_b24.testing.tables import PAGE
from airflow_provider_b24.testing.wire import is_numeric, items_of, to_int

_V3 = "BITRIX_REST_V3_EXCEPTION_"
_INVALID = _V3 + "VALIDATION_REQUESTVALIDATIONEXCEPTION"

# Name in a filter or an order of version 2: type, field of the stored task.
_V2_FIELDS = {
    "ID": ("integer", "id"),
    "TITLE": ("string", "title"),
    "RESPONSIBLE_ID": ("integer", "responsibleId"),
    "CREATED_BY": ("integer", "creatorId"),
    "GROUP_ID": ("integer", "groupId"),
    "STATUS": ("integer", "_status"),
    "REAL_STATUS": ("integer", "_status"),
    "CREATED_DATE": ("datetime", "created"),
    "CHANGED_DATE": ("datetime", "changed"),
    "CLOSED_DATE": ("datetime", "closed"),
    "DEADLINE": ("datetime", "deadline"),
}
_V3_ORDER = frozenset(
    {
        "id", "title", "creatorId", "created", "responsibleId", "deadline", "groupId", "priority", "status",
        "changed", "closed",
    }
)  # fmt: skip
_USER_FIELDS = frozenset({"id", "name", "email"})


def _v2_row(task: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(task["id"]),
        "title": task["title"],
        "description": task["description"],
        "deadline": task["deadline"],
        "createdDate": task["created"],
        "changedDate": task["changed"],
        "closedDate": task["closed"],
        "createdBy": str(task["creatorId"]),
        "responsibleId": str(task["responsibleId"]),
        "groupId": str(task["groupId"] or 0),
        "priority": "1",
        "status": str(task["_status"]),
        "group": [],
    }


@method("tasks.task.list", "task")
def task_list(call: Call) -> Any:
    """A page of 50 tasks, the newest first unless ``order`` says otherwise."""
    rows = [
        {name: task[field] for name, (_, field) in _V2_FIELDS.items()} | {"_task": task}
        for task in call.company.tasks.values()
    ]
    order = items_of(call.get("order")) or [("ID", "desc")]
    if any(name not in _V2_FIELDS for name, _ in order):
        raise PortalError("0", "Wrong key of order (internal error)")
    try:
        tests = Filter(call.get("filter"), _V2_FIELDS, strict=False).tests
    except BadField:
        tests = []
    rows = [row for row in rows if all(test(row) for test in tests)]
    for name, direction in reversed(order):
        rows.sort(
            key=lambda row: (row[name] is not None, row[name] or 0),
            reverse=str(direction).lower().startswith("desc"),
        )
    start = to_int(call.get("start"))
    tasks = [_v2_row(row["_task"]) for row in rows[max(start, 0) : max(start, 0) + PAGE]]
    if start < 0:
        return Page({"tasks": tasks}, total=0)
    return Page({"tasks": tasks}, total=len(rows), next=start + PAGE if start + PAGE < len(rows) else None)


# The fields of a row as "select" names them.
_V2_NAMES = {
    "title": "TITLE", "description": "DESCRIPTION", "deadline": "DEADLINE", "createdDate": "CREATED_DATE",
    "changedDate": "CHANGED_DATE", "closedDate": "CLOSED_DATE", "createdBy": "CREATED_BY",
    "responsibleId": "RESPONSIBLE_ID", "groupId": "GROUP_ID", "priority": "PRIORITY", "status": "STATUS",
    "group": "GROUP",
}  # fmt: skip


@method("tasks.task.get", "task")
def task_get(call: Call) -> Any:
    """One task."""
    given = call.get("taskId")
    if given is None:
        raise PortalError(
            "100", "CTaskItem All parameters in the constructor must have real class type (internal error)"
        )
    if not is_numeric(given):
        raise PortalError("0", "wrong task id")
    task = call.company.tasks.get(to_int(given))
    if task is None:
        return []
    people = {"creator": task["creatorId"], "responsible": task["responsibleId"]}
    row = _v2_row(task) | {role: _v2_person(call, user_id) for role, user_id in people.items()}
    select = [str(item).upper() for _, item in items_of(call.get("select"))]
    if select and "*" not in select:
        # The people and the names of other objects come without being asked for.
        row = {name: value for name, value in row.items() if name in {"id", *people} or _V2_NAMES[name] in select}
    return {"task": row}


def _v2_person(call: Call, user_id: int) -> dict[str, Any]:
    user = call.company.users[user_id]
    return {
        "id": str(user_id),
        "name": user.full_name,
        "link": f"/company/personal/user/{user_id}/",
        "icon": "/bitrix/images/tasks/default_avatar.png",
        "workPosition": user.position,
    }


def _v3_row(call: Call, task: dict[str, Any], select: list[str] | None) -> dict[str, Any]:
    if select is None:
        return {name: value for name, value in task.items() if name[0] != "_"}
    row: dict[str, Any] = {}
    for path in select:
        name, _, inner = path.partition(".")
        if not inner:
            if name in task and name[0] != "_":
                row[name] = task[name]
            continue
        if name not in {"responsible", "creator"} or inner not in _USER_FIELDS:
            entity = "UserDto" if name in {"responsible", "creator"} else "TaskDto"
            field = inner if entity == "UserDto" else name
            raise PortalError(_V3 + "UNKNOWNDTOPROPERTYEXCEPTION", f"Unknown field `{field}` of `{entity}`")
        user = call.company.users[task[f"{name}Id"]]
        value: Any = {"id": user.id, "name": user.full_name, "email": user.email}[inner]
        row.setdefault(name, {})[inner] = value
    return row


def _select(call: Call) -> list[str] | None:
    given = call.get("select")
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise PortalError(_V3 + "INVALIDSELECTEXCEPTION", f"Cannot read the select `{json.dumps(given)}`")
    return given


@method("tasks.task.get", "tasks", version=3)
def task_get_v3(call: Call) -> Any:
    """One task, with fields of related objects by dotted names."""
    task_id = call.get("id")
    if task_id is None:
        raise PortalError(_INVALID, "Required field `id` is not given", field="id")
    if isinstance(task_id, bool) or not isinstance(task_id, int):
        raise PortalError(_INVALID, "Field `id` must be of type `int`", field="id")
    select = _select(call)
    task = call.company.tasks.get(task_id)
    if task is None:
        raise PortalError(_V3 + "ENTITYNOTFOUNDEXCEPTION", f"No record with ID = `{task_id}`")
    return {"item": _v3_row(call, task, select)}


@method("tasks.task.list", "tasks", version=3)
def task_list_v3(call: Call) -> Any:
    """Tasks in pages of ``limit`` (50, at most 1000); without ``select`` only ``id``."""
    select = _select(call)
    tasks = [task for task in call.company.tasks.values() if _v3_passes(call.get("filter"), task)]
    order = call.get("order")
    if order is not None and not isinstance(order, dict):
        raise PortalError(_V3 + "INVALIDORDEREXCEPTION", f"Cannot read the order `{json.dumps(order)}`")
    for name, direction in reversed(list((order or {"id": "ASC"}).items())):
        if name not in _V3_ORDER or direction not in {"ASC", "DESC"}:
            raise PortalError(_V3 + "INVALIDORDEREXCEPTION", f"Cannot read the order `{json.dumps(order)}`")
        tasks.sort(
            key=lambda task: (task[name] is not None, task[name] or 0),
            reverse=direction == "DESC",
        )
    limit, offset = _v3_pagination(call.get("pagination"))
    return {"items": [_v3_row(call, task, select or ["id"]) for task in tasks[offset : offset + limit]]}


def _v3_pagination(given: Any) -> tuple[int, int]:
    error = PortalError(_V3 + "INVALIDPAGINATIONEXCEPTION", f"Cannot read the pagination `{json.dumps(given)}`")
    if given is None:
        return 50, 0
    if not isinstance(given, dict) or not all(is_numeric(value) for value in given.values()):
        raise error
    limit, page = int(given.get("limit", 50)), int(given.get("page", 1))
    if not 1 <= limit <= 1000 or page < 1:
        raise error
    return limit, (page - 1) * limit if "page" in given else int(given.get("offset", 0))


def _v3_passes(condition: Any, task: dict[str, Any]) -> bool:
    """Triples all of which must hold, or ``{"logic": "or", "conditions": […]}``."""
    if condition is None:
        return True
    if isinstance(condition, dict):
        results = [_v3_passes([inner], task) for inner in condition.get("conditions", [])]
        return any(results) if str(condition.get("logic", "and")).lower() == "or" else all(results)
    if not isinstance(condition, list):
        raise PortalError(_V3 + "INVALIDFILTEREXCEPTION", f"Cannot read the filter `{json.dumps(condition)}`")
    if condition and isinstance(condition[0], str):
        return _v3_triple(condition, task)
    return all(_v3_passes(inner, task) for inner in condition)


def _v3_triple(triple: list[Any], task: dict[str, Any]) -> bool:
    if len(triple) not in {2, 3}:
        raise PortalError(_V3 + "INVALIDFILTEREXCEPTION", f"Cannot read the filter `{json.dumps(triple)}`")
    name, value = triple[0], triple[-1]
    operator = triple[1] if len(triple) == 3 else ("in" if isinstance(value, list) else "=")
    if name != "id":
        known = name in task
        code = _INVALID if known else _V3 + "UNKNOWNDTOPROPERTYEXCEPTION"
        raise PortalError(code, f"Field `{name}` of `TaskDto` is not filterable", field=name if known else None)
    try:
        numbers = [int(item) for item in (value if isinstance(value, list) else [value])]
    except (TypeError, ValueError):
        raise PortalError(_V3 + "INVALIDFILTEREXCEPTION", f"Cannot read the filter `{json.dumps(triple)}`") from None
    number, first = task["id"], numbers[0] if numbers else 0
    results: dict[Any, bool] = {
        "=": number == first,
        "!=": number != first,
        ">": number > first,
        ">=": number >= first,
        "<": number < first,
        "<=": number <= first,
        "in": number in numbers,
        "between": bool(numbers) and numbers[0] <= number <= numbers[-1],
    }
    if operator not in results:
        raise PortalError(_V3 + "UNKNOWNFILTEROPERATOREXCEPTION", f"Unknown operator `{operator}`")
    return results[operator]
