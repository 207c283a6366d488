"""Finding people: by address, by name, as the head of a department, or as who is responsible for something. Pure.

A reference names them: ``user:13``, ``user:anna@example.com``, ``user:Anna Petrova``, ``head:Sales``,
``department:Sales``, ``responsible:deal:1663``, ``responsible:task:8293``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, NotFoundError

if TYPE_CHECKING:
    from airflow_provider_b24.rest.peer import Patience, Peer
    from airflow_provider_b24.rest.protocol import Call, Priority
    from airflow_provider_b24.rest.steps import Step

# More people than this are not mentioned with their department.
MOST_OF_A_DEPARTMENT = 20

# What somebody can be responsible for in the CRM, by its entityTypeId.
ENTITY_TYPES = {"lead": 1, "deal": 2, "contact": 3, "company": 4}

_EMAIL = re.compile(r'[^@\s"]+@[^@\s"]+\Z')
# A single word is rarely the name of one person only; in quotes it is meant.
_NAME = re.compile(r'"[^"@:\n]*[^\W\d_][^"@:\n]*"|[^"@:\s]+(?:[^\S\n]+[^"@:\s]+)+')
_DEPARTMENT = re.compile(r'"[^"\n]*\w[^"\n]*"|[^"\s](?:[^"\n]*[^"\s])?')
_RESPONSIBLE = re.compile(rf"({'|'.join(ENTITY_TYPES)}|task):[1-9][0-9]{{0,18}}\Z")


@dataclass(frozen=True)
class Person:
    """Somebody in the portal.

    :ivar name: as the portal has it; empty where it was not asked for.
    """

    id: str
    name: str = ""


Answer = tuple[Person, ...] | Bitrix24Error
Outcome = Generator["Step", Any, dict[str, Answer]]


def is_person(reference: str) -> bool:
    """Whether this names one person: ``user:…``, ``head:…`` or ``responsible:…``."""
    kind, _, key = reference.partition(":")
    if kind == "user":
        return is_number(key) or bool(_EMAIL.match(key) or _NAME.fullmatch(key))
    return bool((kind == "head" and _DEPARTMENT.fullmatch(key)) or (kind == "responsible" and _RESPONSIBLE.match(key)))


def reference_of(who: object) -> str:
    """Who is meant by an address, a name, a user id, or a reference such as ``head:Sales``; as a reference.

    :raises ConfigurationError: if it can be none of them.
    """
    text = str(who).strip() if isinstance(who, (str, int)) and not isinstance(who, bool) else ""
    if is_person(text):
        return text
    named = f"user:{text}" if is_number(text) or _EMAIL.match(text) else f'user:"{text}"'
    if is_person(named):
        return named
    raise ConfigurationError(
        f"{who!r} names nobody",
        advice="Give an address, a name, a user id, 'head:Sales' or 'responsible:deal:1663'.",
    )


def find_person(
    peer: Peer,
    reference: str,
    *,
    named: bool = False,
    patience: Patience | None = None,
    priority: Priority | None = None,
) -> Generator[Step, Any, Person]:
    """The one person that a reference means.

    :param reference: see :func:`is_person`.
    :param named: whether the name is needed as well.
    :param patience: how long to go on trying, instead of the peer's own.
    :param priority: of the calls. Default: that of work.
    :raises NotFoundError: if there is none, or more than one; says what was looked for.
    :raises Bitrix24Error: if the portal could not be asked.
    """
    answers = yield from find_people(peer, [reference], named=named, patience=patience, priority=priority)
    answer = answers[reference]
    if isinstance(answer, Bitrix24Error):
        raise answer
    return answer[0]


def find_people(
    peer: Peer,
    references: Collection[str],
    *,
    named: bool,
    patience: Patience | None = None,
    priority: Priority | None = None,
) -> Outcome:
    """Who is meant by each reference, or the error that says why that is not known; nothing is raised.

    All are looked up in one request; for who works in a department, and for names that are still missing, in a second.

    :param named: whether names are needed as well.
    :param patience: how long to go on trying, instead of the peer's own.
    :param priority: of the calls. Default: that of work.
    """
    from airflow_provider_b24.rest.protocol import Call, Priority

    def ask(questions: Mapping[str, tuple[str, dict[str, Any]]]) -> Generator[Step, Any, dict[str, Any]]:
        urgency = priority or Priority.WORK
        calls = {one: Call(method, params, priority=urgency) for one, (method, params) in questions.items()}
        return _ask(peer, calls, patience)

    answers: dict[str, Answer] = {}
    results = yield from ask({one: question for one in references if (question := _question(one))})
    departments: dict[str, int] = {}
    for one in references:
        try:
            result = results.get(one)
            if isinstance(result, Bitrix24Error):
                raise result
            if one.startswith("department:"):
                departments[one] = _department(one, result)["id"]
            else:
                answers[one] = (_person(one, result),)
        except Bitrix24Error as error:
            answers[one] = error

    nameless = {answer[0].id for answer in answers.values() if isinstance(answer, tuple) and not answer[0].name}
    more: dict[str, tuple[str, dict[str, Any]]] = {
        one: ("im.department.employees.get", {"ID": [number], "USER_DATA": "Y"}) for one, number in departments.items()
    }
    if named and nameless:
        more[""] = ("im.user.list.get", {"ID": sorted(map(int, nameless)), "RESULT_TYPE": "array"})
    results = yield from ask(more)
    for one, number in departments.items():
        answers[one] = _members(one, number, results[one])
    return {one: _with_name(answer, results[""]) if "" in results else answer for one, answer in answers.items()}


def is_number(text: str) -> bool:
    """Whether this can be an id."""
    return text.isascii() and text.isdecimal() and len(text) < 20 and int(text) > 0


def _ask(peer: Peer, calls: Mapping[str, Call], patience: Patience | None) -> Generator[Step, Any, dict[str, Any]]:
    """The result of each call, or its error; in one request."""
    from airflow_provider_b24.rest.batch import converse_batch
    from airflow_provider_b24.rest.conversation import converse

    if not calls:
        return {}
    try:
        if len(calls) == 1:
            ((one, call),) = calls.items()
            reply = yield from converse(peer, call, patience=patience)
            return {one: reply.result}
        batch = yield from converse_batch(peer, list(calls.values()), patience=patience)
    except Bitrix24Error as error:
        return dict.fromkeys(calls, error)
    outcome: dict[int, Any] = {**batch.results, **batch.errors}
    return {one: outcome[number] for number, one in enumerate(calls)}


def _question(reference: str) -> tuple[str, dict[str, Any]] | None:
    """The method that is asked for somebody; None where the reference is the answer."""
    kind, _, key = reference.partition(":")
    if kind == "responsible":
        thing, _, number = key.partition(":")
        if thing == "task":
            return "tasks.task.get", {"taskId": int(number), "select": ["ID", "RESPONSIBLE_ID"]}
        return "crm.item.get", {"entityTypeId": ENTITY_TYPES[thing], "id": int(number)}
    if kind in ("head", "department"):
        # The search is by the beginnings of words; of a full name, "Sales / Example Ltd", the first part finds it.
        return "im.search.department.list", {"FIND": _bare(key).split(" / ")[0], "USER_DATA": "Y", "LIMIT": 50}
    if is_number(key):
        return None
    if _EMAIL.match(key):
        return "user.get", {"FILTER": {"EMAIL": key, "ACTIVE": True}}
    return "im.search.user.list", {"FIND": _bare(key), "LIMIT": 50}


def _person(reference: str, result: Any) -> Person:
    """Who is meant, from what the portal answered.

    :raises NotFoundError: for nobody, and for several.
    """
    kind, _, key = reference.partition(":")
    if kind == "responsible":
        return _responsible(key, result)
    if kind == "head":
        department = _department(reference, result)
        card = department.get("manager_user_data")
        found = _from_card(card if isinstance(card, Mapping) else {"id": department.get("manager_user_id")})
        if found is None:
            raise _not_found("im.search.department.list", f"the department {_bare(key)} has no head")
        return found
    if is_number(key):
        return Person(key)
    return _with_address(key, result) if _EMAIL.match(key) else _with_this_name(_bare(key), result)


def _with_address(email: str, result: Any) -> Person:
    # Below the scope "user" the portal leaves addresses out; then its own filter is all there is to go by.
    exact = [
        row
        for row in _rows(result if isinstance(result, list) else [])
        if str(row.get("EMAIL", email)).lower() == email.lower() and row.get("ACTIVE") is not False
    ]
    people = {
        str(row["ID"]): f"{row.get('NAME') or ''} {row.get('LAST_NAME') or ''}".strip() or email
        for row in exact
        if is_number(str(row.get("ID", "")))
    }
    if len(people) == 1:
        return Person(*people.popitem())
    raise _not_found(
        "user.get",
        f"{len(people)} users have the address {email}" if people else f"no active user has the e-mail address {email}",
        "Check the address, or name the person by user id. Dismissed users and bots are not found, and "
        "addresses are seen only with the scope 'user' or 'user_basic'.",
    )


def _with_this_name(name: str, result: Any) -> Person:
    wanted = sorted(name.casefold().split())
    rows = [row for row in _rows(result) if sorted(str(row.get("name", "")).casefold().split()) == wanted]
    people = {found for row in rows if (found := _from_card(row)) is not None}
    if len(people) == 1:
        return people.pop()
    raise _not_found(
        "im.search.user.list",
        f"{len(people)} people are called {name}" if people else f"nobody is called {name}",
        "Write first and last name as the portal has them, or use the e-mail address. Dismissed users and bots are "
        "not found.",
    )


def _responsible(thing: str, result: Any) -> Person:
    inner = result if isinstance(result, Mapping) else {}
    inner = inner.get("task", inner.get("item"))
    row = inner if isinstance(inner, Mapping) else {}
    number = str(row.get("responsibleId") or row.get("assignedById") or "")
    method = "tasks.task.get" if thing.startswith("task:") else "crm.item.get"
    if not is_number(number):
        words = thing.replace(":", " ")
        raise _not_found(method, f"nobody is responsible for {words}, or this account can not see it")
    card = row.get("responsible")
    # That of another one, if it has another id.
    same = isinstance(card, Mapping) and str(card.get("id")) == number
    return Person(number, str(card.get("name") or "") if same and isinstance(card, Mapping) else "")


def _department(reference: str, result: Any) -> Mapping[str, Any]:
    name = _bare(reference.partition(":")[2])
    wanted = name.casefold()
    rows = [row for row in _rows(result) if isinstance(row.get("id"), int)]
    exact = [row for row in rows if _squeezed(row.get("full_name")).casefold() == wanted]
    exact = exact or [row for row in rows if _squeezed(row.get("name")).casefold() == wanted]
    if len(exact) == 1:
        return exact[0]
    others = ", ".join(f"'{_squeezed(row.get('full_name'))}'" for row in exact)
    raise _not_found(
        "im.search.department.list",
        f"{len(exact)} departments are called {name}" if exact else f"no department is called {name}",
        f"Write the full name: {others}." if exact else "Write its name as the structure of the company has it.",
    )


def _members(reference: str, number: int, result: Any) -> Answer:
    if isinstance(result, Bitrix24Error):
        return result
    cards = result.get(str(number)) if isinstance(result, Mapping) else None
    people = tuple(person for card in _rows(cards) if (person := _from_card(card)) is not None and person.name)
    name = _bare(reference.partition(":")[2])
    if 0 < len(people) <= MOST_OF_A_DEPARTMENT:
        return people
    return _not_found(
        "im.department.employees.get",
        f"{len(people)} people work in {name}" if people else f"nobody works in {name}",
        f"Mention its head instead: @head:{reference.partition(':')[2]}.",
    )


def _with_name(answer: Answer, result: Any) -> Answer:
    """The answer with the name that it lacks; where there is none, why."""
    if isinstance(answer, Bitrix24Error) or answer[0].name:
        return answer
    if isinstance(result, Bitrix24Error):
        return result
    people = [_from_card(card) for card in _rows(result)]
    named = tuple(person for person in people if person is not None and person.id == answer[0].id and person.name)
    return named or _not_found("im.user.list.get", f"user {answer[0].id} is not among the active users")


def _from_card(card: Mapping[str, Any]) -> Person | None:
    """Somebody as ``im.*`` shows people; None for bots and for those who left."""
    number = str(card.get("id", ""))
    if not is_number(number) or card.get("bot") is True or card.get("active") is False:
        return None
    return Person(number, _squeezed(card.get("name")))


def _rows(result: Any) -> list[Mapping[str, Any]]:
    """The rows of a list, which may be by id."""
    values = result.values() if isinstance(result, Mapping) else result if isinstance(result, (list, tuple)) else ()
    return [row for row in values if isinstance(row, Mapping)]


def _bare(text: str) -> str:
    return _squeezed(text.strip('"'))


def _squeezed(text: object) -> str:
    return " ".join(text.split()) if isinstance(text, str) else ""


def _not_found(method: str, words: str, advice: str | None = None) -> NotFoundError:
    return NotFoundError(words, method=method, advice=advice)
