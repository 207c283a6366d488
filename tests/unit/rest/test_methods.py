from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.methods import check_method, is_repeatable


@pytest.mark.parametrize("method", ["profile", "crm.item.get", "im.v2.File.upload", "sonet_group.get", "a1.b_2"])
def test_a_method(method: str) -> None:
    check_method(method)


@pytest.mark.parametrize(
    "method",
    [
        *(
            "",
            " ",
            "crm.item.get ",
            "crm.item.get\n",
            "\nprofile",
            "crm..get",
            ".get",
            "crm.",
            "1crm",
            "crm/item",
            "a?b",
        ),
        *("crm.item.get.json", "crm.item.get.xml", "профиль", "a%2eb", "a-b", None, 7, ["profile"]),
    ],
)
def test_no_method(method: Any) -> None:
    with pytest.raises(ConfigurationError, match="method is"):
        check_method(method)


def test_a_pasted_webhook_url_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_method("https://acme.bitrix24.com/rest/1/s3cr3t/profile")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "method",
    [
        *("profile", "scope", "methods", "server.time", "method.get", "app.info", "user.current", "user.admin"),
        *(
            "crm.item.get",
            "crm.item.list",
            "crm.deal.fields",
            "CRM.Deal.List",
            "user.search",
            "task.elapseditem.getlist",
        ),
        *("tasks.task.getaccess", "main.eventlog.tail", "im.dialog.messages.get", "im.dialog.messages.search"),
        *("disk.folder.getChildren", "event.get", "placement.list", "rest.scope.list", "feature.get"),
        # these set a state that is the same afterwards, however often
        *("im.dialog.writing", "im.dialog.read", "im.dialog.unread", "imbot.v2.Chat.InputAction.notify"),
    ],
)
def test_may_be_sent_twice(method: str) -> None:
    assert is_repeatable(method)


@pytest.mark.parametrize(
    "method",
    [
        *(
            "im.message.add",
            "im.message.update",
            "im.message.delete",
            "im.message.like",
            "im.chat.add",
            "im.chat.leave",
        ),
        *("crm.item.add", "crm.item.update", "crm.item.delete", "crm.item.batchImport", "crm.entity.mergeBatch"),
        *("im.v2.File.upload", "imbot.v2.Chat.Message.send", "bizproc.workflow.start", "task.elapseditem.add"),
        *("event.bind", "event.offline.get", "event.offline.clear", "app.option.set", "calendar.event.add"),
        *("something.new", "budget", "crm.target", "list.add", "get.add", "x.getorcreate", "batch"),
        *("tasks.task.delegate", "im.notify.answer", "voximplant.callback.start", "listing", "profile.set"),
    ],
)
def test_must_not_be_sent_twice(method: str) -> None:
    assert not is_repeatable(method)


@pytest.mark.parametrize(
    ("params", "repeatable"),
    [
        ({"clear": 0, "process_id": "x"}, True),
        ({"clear": "0", "process_id": "x"}, True),
        ({"clear": 0}, False),
        ({"clear": 1, "process_id": "x"}, False),
        ({"process_id": "x"}, False),
        ([0, "x"], False),
    ],
)
def test_offline_events_are_deleted_by_reading_them(params: Any, *, repeatable: bool) -> None:
    assert is_repeatable("event.offline.get", params) is repeatable


@pytest.mark.parametrize(
    ("method", "params", "repeatable"),
    [
        ("im.message.update", {"MESSAGE_ID": 5, "MESSAGE": "text"}, True),
        ("im.message.update", {"message_id": 5, "attach": []}, True),
        ("im.message.update", {"MESSAGE_ID": 5, "MESSAGE": " "}, False),
        ("im.message.update", {"message_id": 5, "message": None}, False),
        ("im.message.update", [], False),
        ("imbot.v2.Chat.Message.update", {"messageId": 5, "fields": {"message": "text"}}, True),
        ("imbot.v2.Chat.Message.update", {"messageId": 5, "fields": {"message": ""}}, False),
        ("imbot.v2.Chat.Message.read", {}, True),
    ],
)
def test_a_message_is_changed_twice_but_not_deleted(method: str, params: Any, *, repeatable: bool) -> None:
    assert is_repeatable(method, params) is repeatable


@pytest.mark.parametrize(
    ("params", "repeatable"),
    [
        ({"cmd": {"a": "profile", "b": "crm.item.get?id=1&entityTypeId=2"}}, True),
        ({"cmd": {"a": " user.get?x=im.message.add"}}, True),
        ({"cmd": ["profile", "scope"]}, True),
        ({"cmd": {"a": "profile", "b": "crm.item.add?fields[x]=crm.item.get"}}, False),
        ({"cmd": {"a": "event.offline.get?clear=0&process_id=x"}}, False),
        ({"cmd": {"a": "batch?cmd[a]=profile"}}, False),
        ({"cmd": {"a": 7}}, False),
        ({"cmd": {}}, False),
        ({"cmd": []}, False),
        ({"cmd": "profile"}, False),
        ({"CMD": {"a": "profile"}}, False),
        ({}, False),
        ([{"method": "tasks.task.get", "query": {}}], True),
        ([{"method": "tasks.task.get"}, {"method": "tasks.task.add"}], False),
        ([{"query": {}}], False),
        ((), False),
    ],
)
def test_a_batch_may_be_sent_twice_if_all_in_it_may(params: Any, *, repeatable: bool) -> None:
    assert is_repeatable("batch", params) is repeatable
