"""``im.user.*``, ``im.department.*``, ``im.search.*`` of people and departments, and ``department.get``"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from airflow_provider_b24.testing.company import Company, Department, User
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.methods.dialogs import user_card
from airflow_provider_b24.testing.registry import Call, Page, method
from airflow_provider_b24.testing.tables import PAGE
from airflow_provider_b24.testing.wire import as_json_array, is_yes, items_of, to_int

_DEFAULT_LIMIT = 10
_MOST = 50
_SHORTEST = 2


def _ids(call: Call, code: str, words: str) -> list[int]:
    """The parameter ``ID``, an array or the JSON text of one.

    :raises PortalError: with the code that this method has for anything else.
    """
    given = call.upper("ID")
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            given = None
    ids = [to_int(value) for _, value in items_of(given)]
    if not [one for one in ids if one > 0]:
        raise PortalError(code, words)
    return ids


def _page(call: Call, rows: list[Any]) -> tuple[list[Any], int | None]:
    limit = to_int(call.upper("LIMIT")) or _DEFAULT_LIMIT
    offset = max(to_int(call.upper("OFFSET")), 0)
    end = offset + min(max(limit, 1), _MOST)
    return rows[offset:end], end if end < len(rows) else None


def _words_begin(text: str, phrase: str) -> bool:
    """Whether each word of the phrase begins a word of the text."""
    words = text.lower().split()
    return all(any(word.startswith(part) for word in words) for part in phrase.lower().split())


@method("im.user.get", "im")
def im_user_get(call: Call) -> Any:
    """One user; the caller by default."""
    given = call.upper("ID")
    user_id = call.caller.user_id if given is None else to_int(given)
    if user_id <= 0:
        raise PortalError("ID_EMPTY", "User ID can't be empty")
    if user_id not in call.company.users:
        raise PortalError("USER_NOT_EXISTS", "User is not exists")
    return user_card(call.company, call.company.users[user_id])


@method("im.user.list.get", "im")
def im_user_list_get(call: Call) -> Any:
    """Users by their ids; a mapping unless a list is asked for."""
    ids = _ids(call, "INVALID_FORMAT", "A wrong format for the ID field is passed")
    users = call.company.users
    cards = {str(one): user_card(call.company, users[one]) for one in ids if one in users}
    return list(cards.values()) if call.upper("RESULT_TYPE") == "array" else as_json_array(cards)


@method("im.search.user.list", "im")
def im_search_user_list(call: Call) -> Any:
    """Active people by the beginnings of words in their name, position and department."""
    company, phrase = call.company, str(call.upper("FIND") or "").strip()
    if len(phrase) < _SHORTEST:
        raise PortalError("FIND_SHORT", "Too short a search phrase.")
    found = [
        user
        for user in sorted(company.users.values(), key=lambda user: user.id)
        if user.active and _words_begin(f"{user.full_name} {user.position} {_departments(company, user)}", phrase)
    ]
    page, following = _page(call, found)
    hidden = ("active", "avatar_hr", "desktop_last_date", "bot_data", "type", "website", "email")
    cards = {str(user.id): user_card(company, user) for user in page}
    shown = {key: {name: card[name] for name in card if name not in hidden} for key, card in cards.items()}
    return Page(as_json_array(shown), total=len(found), next=following)


def _departments(company: Company, user: User) -> str:
    return " ".join(company.departments[one].name for one in user.departments if one in company.departments)


def _department(call: Call, department: Department) -> dict[str, Any]:
    company = call.company
    row: dict[str, Any] = {
        "id": department.id,
        "name": department.name,
        "full_name": company.full_name_of(department),
        "manager_user_id": department.head,
    }
    if is_yes(call.upper("USER_DATA")) and department.head in company.users:
        row["manager_user_data"] = user_card(company, company.users[department.head])
    return row


@method("im.search.department.list", "im")
def im_search_department_list(call: Call) -> Any:
    """Departments by the beginnings of words in their full name; all of them for next to no phrase."""
    if call.upper("FIND") is None:
        raise PortalError("FIND_SHORT", "Too short a search phrase.")
    phrase = str(call.upper("FIND")).strip()
    found = [
        department
        for department in call.company.departments.values()
        if len(phrase) < _SHORTEST or _words_begin(call.company.full_name_of(department), phrase)
    ]
    page, following = _page(call, found)
    return Page([_department(call, department) for department in page], total=len(found), next=following)


@method("im.department.get", "im")
def im_department_get(call: Call) -> Any:
    """Departments by their ids."""
    ids = _ids(call, "INVALID_FORMAT", "A wrong format for the ID field is passed")
    return [_department(call, call.company.departments[one]) for one in ids if one in call.company.departments]


def _of_departments(call: Call, people: Iterable[tuple[int, list[User]]]) -> Any:
    detailed = is_yes(call.upper("USER_DATA"))
    return as_json_array(
        {
            str(department): [user_card(call.company, user) if detailed else user.id for user in users]
            for department, users in people
        }
    )


@method("im.department.employees.get", "im")
def im_department_employees_get(call: Call) -> Any:
    """Those who work in departments, by department; not those of the departments below."""
    ids = _ids(call, "ID_EMPTY", "Department ID can't be empty")
    users = sorted(call.company.users.values(), key=lambda user: user.id)
    return _of_departments(
        call,
        (
            (one, [user for user in users if one in user.departments and user.active and not user.bot])
            for one in ids
            if one in call.company.departments
        ),
    )


@method("im.department.managers.get", "im")
def im_department_managers_get(call: Call) -> Any:
    """The heads of departments, by department."""
    ids = _ids(call, "ID_EMPTY", "Department ID can't be empty")
    company = call.company
    return _of_departments(
        call,
        (
            (one, [company.users[head] for head in [company.departments[one].head] if head in company.users])
            for one in ids
            if one in company.departments
        ),
    )


@method("department.get", "department")
def department_get(call: Call) -> Any:
    """Departments by their exact fields, given at the top."""
    rows = []
    for department in call.company.departments.values():
        row: dict[str, Any] = {"ID": str(department.id), "NAME": department.name, "SORT": 500}
        row |= {"PARENT": str(department.parent)} if department.parent else {}
        row |= {"UF_HEAD": str(department.head)} if department.head else {}
        rows.append(row)
    for name in ("ID", "NAME", "PARENT", "UF_HEAD"):
        wanted = call.upper(name)
        if wanted is not None:
            rows = [row for row in rows if str(row.get(name, "")).lower() == str(wanted).lower()]
    by = str(call.get("sort") or "").upper()
    if by in {"ID", "NAME", "SORT", "PARENT", "UF_HEAD"}:
        descending = str(call.get("order")).upper() == "DESC"
        rows.sort(key=lambda row: (to_int(row.get(by)), str(row.get(by, ""))), reverse=descending)
    start = max(to_int(call.upper("START")), 0)
    following = start + PAGE if start + PAGE < len(rows) else None
    return Page(rows[start : start + PAGE], total=len(rows), next=following)
