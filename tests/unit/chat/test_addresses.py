"""Addresses in the portal's web interface."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_b24.chat.addresses import crm_url, of_call, of_dialog, of_list

CLOUD = "https://example.bitrix24.com"
OWN = "https://portal.example.org:8443"
TASK = "/company/personal/user/0/tasks/task/view/8293/"
MESSAGE = "/online/?IM_DIALOG=chat2935&IM_MESSAGE=90841"

DIALOGS = {
    "a chat": (("chat2935",), {}, {"chat": "/online/?IM_DIALOG=chat2935"}),
    "a workgroup": (("sg17",), {}, {"chat": "/online/?IM_DIALOG=sg17"}),
    "a person": (("13",), {"message_id": 5}, {"message": "/online/?IM_DIALOG=13&IM_MESSAGE=5"}),
    "a person, by a bot": (("13",), {"bot_id": 101}, {"chat": "/online/?IM_DIALOG=101"}),
    "a chat, by a bot": (("chat2935",), {"bot_id": 101}, {"chat": "/online/?IM_DIALOG=chat2935"}),
    "a message": (("chat2935",), {"message_id": 90841}, {"message": MESSAGE}),
    "a deal": (
        ("chat5",),
        {"reference": "deal:1663"},
        {"chat": "/online/?IM_DIALOG=chat5", "crm": "/crm/deal/details/1663/"},
    ),
    "a deal without its chat": ((None,), {"reference": "deal:1663"}, {"crm": "/crm/deal/details/1663/"}),
    "a task": ((None,), {"reference": "task:8293"}, {"task": TASK}),
    "a person by address": (("13",), {"reference": "user:a@b"}, {"chat": "/online/?IM_DIALOG=13"}),
}  # fmt: skip

CALLS = {
    "an item": ("crm.item.get", {"entityTypeId": 2, "id": 7}, {"item": {"id": 7}}, {"crm": "/crm/deal/details/7/"}),
    "an item of one's own type": (
        "crm.item.update",
        {"entityTypeId": "1032", "id": "7", "fields": {"title": "x"}},
        {"item": {"id": 7}},
        {"crm": "/crm/type/1032/details/7/"},
    ),
    "an item that is new": (
        "crm.item.add",
        {"entityTypeId": 1, "fields": {"title": "x"}},
        {"item": {"id": 9}},
        {"crm": "/crm/lead/details/9/"},
    ),
    "an invoice": ("crm.item.get", {"entityTypeId": 31, "id": 7}, {}, {"crm": "/crm/type/31/details/7/"}),
    "a row of products has an id of its own": ("crm.item.productrow.get", {"id": 7}, {}, {}),
    "items": ("crm.item.list", {"entityTypeId": 2}, {"items": []}, {}),
    "an item that is gone": ("crm.item.delete", {"entityTypeId": 2, "id": 7}, [], {}),
    "a deal": ("crm.deal.update", {"id": 7, "fields": {}}, True, {"crm": "/crm/deal/details/7/"}),
    "a deal in capitals": ("crm.deal.get", {"ID": "7"}, {}, {"crm": "/crm/deal/details/7/"}),
    "a contact that is new": ("crm.contact.add", {"fields": {}}, 9, {"crm": "/crm/contact/details/9/"}),
    "products of a deal": ("crm.deal.productrows.set", {"id": 7, "rows": []}, True, {"crm": "/crm/deal/details/7/"}),
    "a field of deals": ("crm.deal.userfield.update", {"id": 7}, True, {}),
    "a comment": (
        "crm.timeline.comment.add",
        {"fields": {"ENTITY_ID": 7, "ENTITY_TYPE": "company", "COMMENT": "x"}},
        999,
        {"crm": "/crm/company/details/7/"},
    ),
    "something to do": (
        "crm.activity.todo.add",
        {"ownerTypeId": 2, "ownerId": 7, "deadline": "x"},
        {"id": 999},
        {"crm": "/crm/deal/details/7/"},
    ),
    "a task": ("tasks.task.get", {"taskId": 8293}, {"task": {"id": "8293"}}, {"task": TASK}),
    "a task that is new": ("tasks.task.add", {"fields": {"TITLE": "x"}}, {"task": {"id": "8293"}}, {"task": TASK}),
    "a task of REST 3.0": ("tasks.task.update", {"id": 8293, "fields": {}}, {"item": {"id": 8293}}, {"task": TASK}),
    "a task's chat": ("tasks.task.chat.message.send", {"fields": {"taskId": 8293, "text": "x"}}, {}, {"task": TASK}),
    "a task by position": ("task.commentitem.add", [8293, {"POST_MESSAGE": "x"}], 5, {"task": TASK}),
    "a task that is gone": ("tasks.task.delete", {"taskId": 8293}, {"task": True}, {}),
    "a message": ("im.message.add", {"DIALOG_ID": "chat2935", "MESSAGE": "x"}, 90841, {"message": MESSAGE}),
    "a bot's message": (
        "imbot.v2.Chat.Message.send",
        {"botId": 101, "dialogId": "13", "fields": {"message": "x"}},
        {"id": 5, "uuidMap": {}},
        {"message": "/online/?IM_DIALOG=101&IM_MESSAGE=5"},
    ),
    "a file": (
        "im.v2.File.upload",
        {"dialogId": "chat2935", "fields": {"name": "x", "content": "eA=="}},
        {"file": {"id": 3}, "messageId": 90841, "chatId": 2935, "dialogId": "chat2935"},
        {"message": MESSAGE},
    ),
    "a dialog": ("im.dialog.writing", {"DIALOG_ID": "sg17"}, True, {"chat": "/online/?IM_DIALOG=sg17"}),
    "a message that is unread": (
        "im.dialog.unread",
        {"DIALOG_ID": "chat2935", "MESSAGE_ID": "90841"},
        True,
        {"message": MESSAGE},
    ),
    "a chat that is new": ("im.chat.add", {"TITLE": "x"}, 2935, {"chat": "/online/?IM_DIALOG=chat2935"}),
    "a chat by its number": ("im.chat.updateTitle", {"CHAT_ID": 2935}, True, {"chat": "/online/?IM_DIALOG=chat2935"}),
    "a message whose chat is not named": ("im.message.update", {"MESSAGE_ID": 90841, "MESSAGE": "x"}, True, {}),
    "a notification": (
        "im.notify.personal.add",
        {"USER_ID": 13, "MESSAGE": "x"},
        5,
        {"person": "/company/personal/user/13/"},
    ),
    "people": ("user.get", {"ID": 13}, [], {}),
}  # fmt: skip


def at(portal, paths):
    return {kind: portal + path for kind, path in paths.items()}


@pytest.mark.parametrize("portal", [CLOUD, OWN], ids=["cloud", "on-premise"])
@pytest.mark.parametrize(("dialog", "more", "paths"), DIALOGS.values(), ids=DIALOGS)
def test_in_a_dialog(portal, dialog, more, paths):
    assert of_dialog(portal, *dialog, **more) == at(portal, paths)


@pytest.mark.parametrize(("method", "params", "result", "paths"), CALLS.values(), ids=CALLS)
def test_of_a_call(method, params, result, paths):
    assert of_call(OWN, method, params, result) == at(OWN, paths)


@pytest.mark.parametrize(
    ("entity_type", "path"),
    [
        (1, "/crm/lead/details/7/"),
        ("company", "/crm/company/details/7/"),
        (128, "/crm/type/128/details/7/"),
        ("quote", "/crm/type/7/details/7/"),
    ],
)
def test_a_card(entity_type, path):
    assert crm_url(CLOUD, entity_type, 7) == CLOUD + path


ODD: tuple[Any, ...] = (
    None,
    True,
    [],
    {},
    [None],
    "x",
    -1,
    {"id": None},
    {"id": []},
    {"item": 5},
    {"item": {"id": "x"}},
    "../../x",
    10**30,
)


@pytest.mark.parametrize(
    "method",
    ["im", "crm", "crm.item.get", "crm.deal.add", "crm.timeline.x", "tasks.task.get", "im.message.add", "im.chat.add",
     "im.notify", "imbot.v2.chat.message.send", "task.item.get"],
)  # fmt: skip
def test_what_is_no_id_leads_nowhere(method):
    for odd in ODD:
        named = dict.fromkeys(
            ["id", "ID", "taskId", "entityTypeId", "entityId", "DIALOG_ID", "CHAT_ID", "USER_ID", "fields", "botId"],
            odd,
        )
        for params in (odd, named):
            for result in ODD:
                assert of_call(CLOUD, method, params, result) == {}, (params, result)


@pytest.mark.parametrize(
    ("method", "params", "path"),
    [
        ("crm.item.list", {"entityTypeId": 2}, "/crm/deal/list/"),
        ("crm.item.add", {"ENTITYTYPEID": "1030"}, "/crm/type/1030/"),
        ("crm.contact.list", None, "/crm/contact/list/"),
        ("crm.quote.list", {}, "/crm/type/7/"),
        ("crm.item.list", {}, None),
        ("crm.activity.list", {}, None),
        ("crm.deal.contact.items", {}, None),
        ("user.get", {}, None),
    ],
    ids=str,
)
def test_the_list_that_is_read(method, params, path):
    assert of_list(OWN, method, params) == ({"crm_list": f"{OWN}{path}"} if path else {})
