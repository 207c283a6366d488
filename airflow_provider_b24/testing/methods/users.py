"""``user.*``"""

from __future__ import annotations

from typing import Any

from airflow_provider_b24.testing.company import Company, User
from airflow_provider_b24.testing.crm import BadField, Filter
from airflow_provider_b24.testing.registry import Call, Page, method
from airflow_provider_b24.testing.tables import PAGE
from airflow_provider_b24.testing.wire import items_of, to_int

_SCOPES = ("user", "user_basic", "user_brief")
_FIELDS = {
    "ID": ("integer", ""),
    "ACTIVE": ("boolean", ""),
    "NAME": ("string", ""),
    "LAST_NAME": ("string", ""),
    "EMAIL": ("string", ""),
    "WORK_POSITION": ("string", ""),
    "PERSONAL_GENDER": ("string", ""),
    "USER_TYPE": ("string", ""),
    "UF_DEPARTMENT": ("integer", ""),
}


def user_row(company: Company, user: User) -> dict[str, Any]:
    """A user as ``user.*`` shows one; ids are strings."""
    moment = company.now_text()
    return {
        "ID": str(user.id),
        "ACTIVE": user.active,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "SECOND_NAME": "",
        "EMAIL": user.email,
        "LAST_LOGIN": moment,
        "DATE_REGISTER": moment[:10] + "T00:00:00+03:00",
        "TIME_ZONE": "",
        "IS_ONLINE": "Y" if user.active else "N",
        "TIMESTAMP_X": {},
        "LAST_ACTIVITY_DATE": {},
        "PERSONAL_GENDER": user.gender,
        "PERSONAL_WWW": "",
        "PERSONAL_BIRTHDAY": "",
        "PERSONAL_MOBILE": "",
        "PERSONAL_CITY": "",
        "WORK_PHONE": "",
        "WORK_POSITION": user.position,
        "UF_EMPLOYMENT_DATE": "",
        "UF_DEPARTMENT": user.departments,
        "USER_TYPE": "employee",
    }


# What the lesser scopes show of it (api-reference/user/user-scope.md).
_BASIC = frozenset(
    {
        "ID", "ACTIVE", "NAME", "LAST_NAME", "SECOND_NAME", "EMAIL", "WORK_PHONE", "WORK_POSITION", "IS_ONLINE",
        "TIME_ZONE", "TIMESTAMP_X", "DATE_REGISTER", "LAST_ACTIVITY_DATE", "PERSONAL_GENDER", "PERSONAL_BIRTHDAY",
        "PERSONAL_MOBILE", "PERSONAL_CITY", "UF_DEPARTMENT", "UF_EMPLOYMENT_DATE",
    }
)  # fmt: skip
_BRIEF = _BASIC - {"EMAIL", "WORK_PHONE", "PERSONAL_MOBILE"}


def _shown(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    """The row as far as the caller's scope goes."""
    scopes = call.caller.scopes
    if "user" in scopes:
        return row
    fields = _BASIC if "user_basic" in scopes else _BRIEF
    return {name: value for name, value in row.items() if name in fields}


def _searchable(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"ID": int(row["ID"]), "ACTIVE": "y" if row["ACTIVE"] else "n"}


def _page(call: Call, rows: list[dict[str, Any]]) -> Page:
    sort, order = call.upper("SORT"), call.upper("ORDER")
    if isinstance(sort, str) and sort.upper() in _FIELDS:
        name = sort.upper()
        rows.sort(key=lambda row: _searchable(row)[name], reverse=str(order).upper() == "DESC")
    start = to_int(call.upper("START"))
    select = [str(item).upper() for _, item in items_of(call.get("select"))]
    page = [_shown(call, row) for row in rows[max(start, 0) : max(start, 0) + PAGE]]
    if select and "*" not in select:
        page = [{name: row[name] for name in row if name in select} for row in page]
    if start < 0:
        return Page(page, total=0)
    return Page(page, total=len(rows), next=start + PAGE if start + PAGE < len(rows) else None)


def _employees(call: Call) -> list[dict[str, Any]]:
    users = sorted(call.company.users.values(), key=lambda user: user.id)
    return [user_row(call.company, user) for user in users if not user.bot]


def _has_words(row: dict[str, Any], words: str) -> bool:
    text = f"{row['NAME']} {row['LAST_NAME']} {row['WORK_POSITION']}".lower()
    return all(word in text for word in words.lower().split())


@method("user.get", *_SCOPES)
def user_get(call: Call) -> Any:
    """Employees by any of their fields, given at the top or in ``FILTER``; bots are not among them."""
    given = {key.upper(): value for key, value in items_of(call.params)}
    given |= {key.upper(): value for key, value in items_of(call.upper("FILTER"))}
    conditions = {}
    rows = _employees(call)
    for key, value in given.items():
        name = key.lstrip("!<>=@%")
        if name == "ACTIVE":
            yes = value is True or str(value).lower() in {"1", "y", "true"}
            conditions[key] = "Y" if yes else "N"
        elif name == "UF_DEPARTMENT":
            wanted = {to_int(item) for _, item in items_of(value)} or {to_int(value)}
            rows = [row for row in rows if wanted & set(row["UF_DEPARTMENT"])]
        elif name == "NAME_SEARCH":
            rows = [row for row in rows if _has_words(row, str(value))]
        elif name in _FIELDS:
            conditions[key] = value
    try:
        tests = Filter(conditions, _FIELDS, strict=False).tests
    except BadField:
        tests = []
    return _page(call, [row for row in rows if all(test(_searchable(row)) for test in tests)])


@method("user.search", *_SCOPES)
def user_search(call: Call) -> Any:
    """Employees by a part of their name, or ``FIND`` in all of it."""
    given = {key.upper(): value for key, value in items_of(call.params)}
    given |= {key.upper(): value for key, value in items_of(call.upper("FILTER"))}
    rows = _employees(call)
    find = given.get("FIND")
    if find is not None:
        rows = [row for row in rows if _has_words(row, str(find))]
    else:
        for name in ("NAME", "LAST_NAME", "WORK_POSITION"):
            wanted = str(given.get(name, "")).strip("%").lower()
            rows = [row for row in rows if wanted in str(row[name]).lower()]
    return _page(call, rows)


@method("user.current", *_SCOPES)
def user_current(call: Call) -> Any:
    """The caller."""
    return _shown(call, user_row(call.company, call.company.users[call.caller.user_id]))
