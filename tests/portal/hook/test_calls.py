"""The hook's calls over HTTP; one table for the synchronous and the asynchronous half."""

from __future__ import annotations

import pytest

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.batch import BatchReply
from airflow_provider_b24.rest.errors import (
    AuthenticationError,
    Bitrix24Error,
    ConfigurationError,
    NotFoundError,
    RequestRefusedError,
)
from airflow_provider_b24.rest.protocol import Call
from airflow_provider_b24.testing import FakePortal, Fault


@pytest.fixture(scope="module")
def lasting_portal():
    with FakePortal(seed_deals=130) as made:
        yield made


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        (("profile",), {"ID": "1"}),
        (("profile", {}), {"ID": "1"}),
        (("user.get", {"ID": 4}), [{"ID": "4"}]),
        (("im.dialog.writing", {"DIALOG_ID": "chat2935"}), True),
        (("im.chat.get", {"ENTITY_TYPE": "CRM", "ENTITY_ID": "DEAL|1"}), None),
    ],
)
def test_the_result_of_a_call(face, arguments, result):
    answer = face.call(*arguments)
    if isinstance(result, dict):
        assert answer["ID"] == result["ID"]
    elif isinstance(result, list):
        assert [row["ID"] for row in answer] == [row["ID"] for row in result]
    else:
        assert answer is result


def test_parameters_arrive_as_they_were_given(face, portal):
    params = {"FILTER": {"ACTIVE": True, ">ID": 1}, "select": ["ID", "NAME"], "order": "DESC", "sort": "ID"}
    assert [row["ID"] for row in face.call("user.get", params)][:2] == ["5", "4"]
    assert portal.calls[-1].params == params
    assert portal.calls[-1].content_type.startswith("application/json")


def test_rest_3(face, portal):
    answer = face.call("tasks.task.get", {"id": 8293, "select": ["id", "title"]}, version=3)
    assert answer["item"]["title"] == "Weekly sales report"
    assert portal.calls[-1].version == 3


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("im.dialog.writing", {"DIALOG_ID": "chat2936"}), Bitrix24Error, "ACCESS_ERROR"),
        (("im.dialog.writing", {}), RequestRefusedError, "DIALOG_ID_EMPTY"),
        (("no.such.method",), NotFoundError, "ERROR_METHOD_NOT_FOUND"),
        (("crm/item",), ConfigurationError, "no slashes"),
        (("profile", "x"), ConfigurationError, "Give a mapping"),
        (("profile", {"x": object()}), ConfigurationError, "can not be written as JSON"),
    ],
)
def test_errors_of_calls(face, arguments, kind, words):
    with pytest.raises(kind, match=words):
        face.call(*arguments)


def test_a_wrong_code(face, connect, portal):
    connect({**portal.connection(), "password": "wr0ngc0de"})
    with pytest.raises(AuthenticationError, match=r"INVALID_CREDENTIALS.*Airflow connection") as caught:
        face.call("profile")
    assert "wr0ngc0de" not in str(caught.value)


def test_whole_replies(face):
    reply = face.reply(Call("crm.deal.list", {"select": ["ID"]}))
    assert (len(reply.result), reply.total, reply.next) == (50, 130, 50)


# ---- batches


def test_a_batch_by_keys(face, portal):
    reply = face.batch({"me": ("profile", {}), "deal": ("crm.item.get", {"entityTypeId": 2, "id": 1})})
    assert isinstance(reply, BatchReply)
    assert list(reply.results) == ["me", "deal"]
    assert reply.results["me"]["NAME"] == "Anna"
    assert reply.unwrap() == reply.results
    assert [call.method for call in portal.requests] == ["batch"]


def test_a_batch_by_numbers_and_more_than_fifty(face, portal):
    reply = face.batch([("user.get", {"ID": 1 + number % 5}) for number in range(120)])
    assert list(reply.results) == list(range(120))
    assert reply.results[119][0]["ID"] == "5"
    assert [call.method for call in portal.requests] == ["batch"] * 3


def test_one_failure_leaves_the_others(face):
    reply = face.batch({"a": ("im.dialog.writing", {"DIALOG_ID": "chat2936"}), "b": ("profile", {})})
    assert list(reply.results) == ["b"]
    assert list(reply.errors) == ["a"]
    with pytest.raises(Bitrix24Error, match="ACCESS_ERROR"):
        reply.unwrap()


def test_references_and_halt(face):
    calls = {
        "user": ("user.get", {"ID": 4}),
        "same": ("user.get", {"ID": "$result[user][0][ID]"}),
        "no": ("im.dialog.writing", {}),
        "after": ("profile", {}),
    }
    reply = face.batch(calls)
    assert reply.results["same"][0]["ID"] == "4"
    assert {key: type(error).__name__ for key, error in reply.errors.items()} == {
        "no": "RequestRefusedError",
        "after": "NotExecutedError",
    }
    assert list(face.batch({"no": ("im.dialog.writing", {}), "me": ("profile", {})}, halt=True).errors) == ["no", "me"]


@pytest.mark.parametrize(
    "calls", [{"a": "profile"}, ["profile"], {"a": ("profile",)}, {"a": ("profile", {}, 3)}, {"a": 5}]
)
def test_calls_of_a_batch_are_pairs(face, portal, calls):
    with pytest.raises(ConfigurationError, match=r"pairs of method and parameters.*Like"):
        face.batch(calls)
    assert portal.calls == []


def test_no_calls(face, portal):
    assert face.batch({}).unwrap() == {}
    assert portal.calls == []


# ---- lists


@pytest.mark.parametrize("method", ["crm.item.list", "crm.deal.list"])
def test_every_row_once(face, method):
    key, params = ("id", {"entityTypeId": 2}) if method == "crm.item.list" else ("ID", {})
    rows = [int(row[key]) for row in face.iterate(method, {**params, "select": [key]})]
    assert len(rows) == 130
    assert rows == sorted(set(rows))


def test_a_list_without_parameters(face):
    assert [row["ID"] for row in face.iterate("user.get")][:5] == ["1", "2", "3", "4", "5"]


def test_a_list_is_read_page_by_page(portal):
    with Bitrix24Hook() as hook:
        rows = hook.iterate("crm.item.list", {"entityTypeId": 2})
        assert portal.calls == []
        next(rows)
        assert len(portal.requests) == 1
        assert len(list(rows)) == 129


ARGUMENTS = [
    ({"method": "crm.deal.list", "version": 4}, "version is 4"),
    ({"method": "crm.deal.list", "params": [1]}, r"params is \[1\]"),
    ({"method": "crm.deal.list", "params": "x"}, "params is 'x'"),
    ({"method": "crm.deal.list", "params": 0}, "params is 0"),
    ({"method": "crm.deal.list", "parallel": 41}, "parallel is 41"),
    ({"method": "crm.deal.list", "after": "x"}, "after is 'x'"),
    ({"method": "crm.deal.list", "params": {"start": 50}}, "start is 50"),
    ({"method": "crm.deal.userfield.list", "since": "2026-01-01"}, "since and until are not for"),
    ({"method": 7}, "method is 7"),
    ({"method": "crm.deal.add", "params": {"fields": {"TITLE": "x"}}}, "method is 'crm.deal.add', .* may write"),
]


@pytest.mark.parametrize("name", ["iterate", "pages", "aiterate", "apages"])
@pytest.mark.parametrize(("arguments", "words"), ARGUMENTS, ids=[words for _, words in ARGUMENTS])
def test_arguments_of_a_reading_are_checked_when_it_is_called(portal, name, arguments, words):
    with Bitrix24Hook() as hook, pytest.raises(ConfigurationError, match=words) as caught:
        getattr(hook, name)(**arguments)
    assert caught.value.advice
    assert portal.calls == []


def test_a_list_that_breaks_off_is_an_error(face, portal):
    for in_batch in (True, False):
        skip = 2 if in_batch else 0
        fault = Fault("error", "crm.item.list", skip=skip, times=None, code="ACCESS_DENIED", status=403)
        fault.in_batch = in_batch
        portal.faults.add(fault)
    with pytest.raises(Bitrix24Error, match="ACCESS_DENIED"):
        face.iterate("crm.item.list", {"entityTypeId": 2})
