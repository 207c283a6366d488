"""Dialogs that are named by what they belong to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    Bitrix24Error,
    ConfigurationError,
    NotFoundError,
)
from airflow_provider_b24.testing import Fault
from airflow_provider_b24.testing.registry import V2


def asked(portal):
    return [(call.method, call.params) for call in portal.calls]


@pytest.fixture(scope="module", autouse=True)
def chats(lasting_portal):
    """A chat for each kind of thing that has none in the portal from the start."""
    return {
        f"{kind}:{number}": lasting_portal.add_chat(kind, (1, 2), entity_type=entity_type, entity_id=entity_id)
        for kind, number, entity_type, entity_id in [
            ("lead", 71, "CRM", "LEAD|71"),
            ("contact", 72, "CRM", "CONTACT|72"),
            ("company", 73, "CRM", "COMPANY|73"),
            ("task", 74, "TASKS", "74"),
            ("task", 75, "TASKS_TASK", "75"),
        ]
    }


@pytest.mark.parametrize("dialog_id", ["chat2935", "sg17", "13", 13, " chat1 ", "user:4"])
def test_an_id_is_taken_without_a_call(face, portal, dialog_id):
    assert face.dialog_id(dialog_id) == str(dialog_id).strip().removeprefix("user:")
    assert portal.calls == []


@pytest.mark.parametrize(
    ("reference", "dialog_id", "entity"),
    [
        ("deal:1663", "chat2939", {"ENTITY_TYPE": "CRM", "ENTITY_ID": "DEAL|1663"}),
        ("group:133", "chat2938", {"ENTITY_TYPE": "SONET_GROUP", "ENTITY_ID": "133"}),
        ("task:8293", "chat2940", {"ENTITY_TYPE": "TASKS_TASK", "ENTITY_ID": "8293"}),
    ],
)
def test_the_chat_of_something(face, portal, reference, dialog_id, entity):
    assert face.dialog_id(reference) == dialog_id
    assert asked(portal) == [("im.chat.get", entity)]


@pytest.mark.parametrize("reference", ["lead:71", "contact:72", "company:73", "task:74", "task:75"])
def test_the_chat_of_every_other_kind_of_thing(face, portal, chats, reference):
    assert face.dialog_id(reference) == chats[reference]


def test_a_task_of_the_old_card_is_asked_for_second(face, portal, chats):
    assert face.dialog_id("task:74") == chats["task:74"]
    assert asked(portal) == [
        ("im.chat.get", {"ENTITY_TYPE": "TASKS_TASK", "ENTITY_ID": "74"}),
        ("im.chat.get", {"ENTITY_TYPE": "TASKS", "ENTITY_ID": "74"}),
    ]


@pytest.mark.parametrize("reference", ["deal:99", "lead:1663", "task:9999", "group:99"])
def test_nothing_has_no_chat(face, portal, reference):
    kind, number = reference.split(":")
    with pytest.raises(NotFoundError) as caught:
        face.dialog_id(reference)
    assert f"{kind} {number} has no chat that this account can see" in str(caught.value)
    assert "has to be a member" in str(caught.value)
    assert caught.value.permanent


def test_a_person_by_address(face, portal):
    assert face.dialog_id("user:boris@example.com") == "2"
    assert asked(portal) == [("user.get", {"FILTER": {"EMAIL": "boris@example.com", "ACTIVE": True}})]
    assert face.dialog_id("user:BORIS@Example.com") == "2"


def test_nobody_has_the_address(face, portal):
    with pytest.raises(NotFoundError, match=r"no active user has the e-mail address nobody@example.com"):
        face.dialog_id("user:nobody@example.com")


def test_one_who_left_is_not_written_to(face, portal):
    with pytest.raises(NotFoundError, match=r"no active user .* felix@example.com.*Dismissed users"):
        face.dialog_id("user:felix@example.com")


def test_two_people_with_one_address(face, portal):
    if not any(user.email == "shared@example.com" for user in portal.company.users.values()):
        portal.add_user("Gregor", email="shared@example.com")
        portal.add_user("Hanna", email="shared@example.com")
    with pytest.raises(NotFoundError, match=r"2 users have the address shared@example.com.*by user id"):
        face.dialog_id("user:shared@example.com")


def answer_users_with(monkeypatch, rows):
    """For what a portal does only with other editions and scopes."""
    monkeypatch.setitem(V2, "user.get", replace(V2["user.get"], handler=lambda call: rows))


def row(number, **fields):
    return {"ID": str(number), "NAME": "A", **fields}


ROWS = {
    "the filter is ignored": ([row(n, EMAIL=f"{n}@example.com", ACTIVE=True) for n in range(1, 51)], None),
    "the filter is ignored, one fits": (
        [row(n, EMAIL=f"{n}@example.com", ACTIVE=True) for n in range(1, 50)] + [row(77, EMAIL="x@example.com")],
        "77",
    ),
    "the filter is ignored, and addresses are not shown": ([row(n, ACTIVE=True) for n in range(1, 51)], None),
    "addresses are not shown": ([row(77)], "77"),
    "the address is in capitals": ([row(77, EMAIL="X@EXAMPLE.COM")], "77"),
    "a part of an address fits": ([row(77, EMAIL="xx@example.com")], None),
    "one who left is shown": ([row(76, EMAIL="x@example.com", ACTIVE=False), row(77, EMAIL="x@example.com")], "77"),
    "only one who left": ([row(76, EMAIL="x@example.com", ACTIVE=False)], None),
    "one person twice": ([row(77, EMAIL="x@example.com"), row(77, EMAIL="x@example.com")], "77"),
    "no number": ([row("x", EMAIL="x@example.com")], None),
    "no address": ([row(77, EMAIL=None)], None),
    "no rows": ([], None),
    "no list": ({"1": row(77)}, None),
    "rows that are none": ([None, 5, "x"], None),
    "nothing": (None, None),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "found"), ROWS.values(), ids=ROWS)
def test_the_wrong_person_is_never_written_to(face, portal, monkeypatch, rows, found):
    answer_users_with(monkeypatch, rows)
    if found:
        assert face.dialog_id("user:x@example.com") == found
    else:
        with pytest.raises(NotFoundError):
            face.dialog_id("user:x@example.com")


def test_without_the_scope_the_error_names_it(face, portal):
    portal.scopes = ["im"]
    with pytest.raises(AccessDeniedError, match=r"user\.get: insufficient_scope.*Add the scope"):
        face.dialog_id("user:boris@example.com")


def test_what_names_no_dialog_is_not_asked_for(face, portal):
    with pytest.raises(ConfigurationError, match="dialog_id is 'deal:x'"):
        face.dialog_id("deal:x")
    assert portal.calls == []


def test_a_portal_that_can_not_be_asked(face, portal):
    portal.faults.add(Fault("error", "im.chat.get", code="ACCESS_DENIED", status=403))
    with pytest.raises(Bitrix24Error, match="ACCESS_DENIED"):
        face.dialog_id("deal:1663")
