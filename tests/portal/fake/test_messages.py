"""Messages, dialogs, notifications, files and bots: what is done, and what is refused."""

from __future__ import annotations

import base64
import json

import pytest
import requests

CHAT = "chat2935"


@pytest.fixture
def post(call):
    return lambda **params: call("im.message.add", {"DIALOG_ID": CHAT, "MESSAGE": "text"} | params)


@pytest.mark.parametrize(
    ("dialog_id", "refusal"),
    [
        ("", (400, "USER_ID_EMPTY")),
        (None, (400, "USER_ID_EMPTY")),
        ("chat", (400, "USER_ID_EMPTY")),
        ("group5", (400, "USER_ID_EMPTY")),
        ("chat999999", (400, "CHAT_ID")),
        ("sg999", (400, "CHAT_ID")),
        ("999", (400, "USER_NOT_FOUND")),
        ("chat2936", (400, "ACCESS_ERROR")),
    ],
)
def test_dialogs_that_cannot_be_written_to(call, dialog_id, refusal):
    assert call.refusal("im.message.add", {"DIALOG_ID": dialog_id, "MESSAGE": "x"}) == refusal


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"MESSAGE": "  \n"}, "MESSAGE_EMPTY"),
        ({"MESSAGE": None}, "MESSAGE_EMPTY"),
        ({"ATTACH": "not json"}, "ATTACH_ERROR"),
        ({"ATTACH": {"COLOR": "#fff"}}, "ATTACH_ERROR"),
        ({"ATTACH": [{"MESSAGE": "a", "LINK": {"LINK": "/x"}}]}, "ATTACH_ERROR"),
        ({"ATTACH": [{"LINK": {"LINK": "javascript:alert(1)"}}]}, "ATTACH_ERROR"),
        ({"ATTACH": [{"GRID": [{"NAME": "no display"}]}]}, "ATTACH_ERROR"),
        ({"ATTACH": [{"MESSAGE": "x" * 60_001}]}, "ATTACH_OVERSIZE"),
        ({"KEYBOARD": "{"}, "KEYBOARD_ERROR"),
        ({"KEYBOARD": [{"TEXT": "does nothing"}]}, "KEYBOARD_ERROR"),
        ({"KEYBOARD": [{"LINK": "https://example.com"}]}, "KEYBOARD_ERROR"),
        ({"KEYBOARD": [{"TEXT": "x", "ACTION": "DANCE", "ACTION_VALUE": "y"}]}, "KEYBOARD_ERROR"),
        ({"MENU": [{"TEXT": "does nothing"}]}, "MENU_ERROR"),
        ({"REPLY_ID": 1}, "REPLY_ACCESS_ERROR"),
    ],
)
def test_messages_that_are_refused(post, portal, changes, code):
    status, answer = post(**changes)
    assert (status, answer["error"]) == (400, code)
    assert portal.messages(CHAT) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"ATTACH": [{"MESSAGE": "a"}, {"DELIMITER": {"SIZE": 200}}]},
        {"ATTACH": json.dumps({"ID": 1, "BLOCKS": [{"GRID": [{"DISPLAY": "ROW", "NAME": "a", "VALUE": "b"}]}]})},
        {"ATTACH": {"BLOCKS": [{"LINK": {"LINK": "/crm/deal/details/1/", "NAME": "deal"}}]}, "MESSAGE": ""},
        {"KEYBOARD": {"BUTTONS": [{"TEXT": "go", "LINK": "https://example.com"}, {"TYPE": "NEWLINE"}]}},
        {"KEYBOARD": [{"TEXT": "ok", "COMMAND": "approve"}]},
        {"MENU": {"ITEMS": [{"TEXT": "open", "LINK": "https://example.com"}]}},
        {"UNKNOWN": "is ignored"},
    ],
)
def test_messages_that_are_taken(post, portal, changes):
    status, answer = post(**changes)
    assert (status, answer["result"]) == (200, portal.messages(CHAT)[0].id)


def test_a_stored_message(post, portal):
    post(MESSAGE="  hello [B]world[/B] \n", URL_PREVIEW="N")
    message = portal.messages(CHAT)[0]
    assert (message.text, message.author_id, message.dialog_id) == ("hello [B]world[/B]", 1, CHAT)
    assert message.params["URL_PREVIEW"] == "N"
    assert message.date.tzinfo is not None
    post(MESSAGE="x" * 20_001)
    assert portal.messages(CHAT)[1].text == "x" * 20_000 + " (...)"
    post(SYSTEM="Y")
    system = portal.messages(CHAT)[2]
    assert (system.author_id, system.uuid) == (0, None)
    assert message.uuid


def test_replies(post, call, portal):
    first = post()[1]["result"]
    assert post(REPLY_ID=first)[0] == 200
    elsewhere = call.result("im.message.add", {"DIALOG_ID": "sg17", "MESSAGE": "x"})
    assert post(REPLY_ID=elsewhere)[1]["error"] == "REPLY_FROM_OTHER_CHAT_ERROR"
    hidden = portal.add_message("chat2936", 4, "secret")
    assert post(REPLY_ID=hidden)[1]["error"] == "REPLY_ACCESS_ERROR"


def test_private_dialogs(call, portal):
    call.result("im.message.add", {"DIALOG_ID": 5, "MESSAGE": "hi"})
    assert [message.text for message in portal.messages("5")] == ["hi"]
    assert call.result("im.dialog.get", {"DIALOG_ID": "5"})["message_type"] == "P"
    assert call.result("im.dialog.writing", {"DIALOG_ID": "6"}) is True


def test_changing_and_deleting(call, post, portal):
    mine = post(ATTACH=[{"MESSAGE": "a"}])[1]["result"]
    theirs = portal.add_message(CHAT, 3, "mine")
    foreign = portal.add_message("sg17", 2, "mine")
    assert call.result("im.message.update", {"MESSAGE_ID": mine, "MESSAGE": " new ", "ATTACH": "N"}) is True
    message = portal.messages(CHAT)[0]
    assert (message.text, message.edited, "ATTACH" in message.params) == ("new", True, False)
    assert call.refusal("im.message.update", {"MESSAGE_ID": theirs, "MESSAGE": "x"}) == (403, "CANT_EDIT_MESSAGE")
    assert call.refusal("im.message.update", {"MESSAGE": "x"}) == (400, "MESSAGE_ID_ERROR")
    assert call.refusal("im.message.update", {"MESSAGE_ID": mine, "MENU": "{"}) == (400, "menu_ERROR")
    assert call.result("im.message.update", {"MESSAGE_ID": mine, "MESSAGE": ""}) is True
    assert portal.messages(CHAT)[0].deleted
    assert call.refusal("im.message.delete", {"MESSAGE_ID": mine}) == (403, "CANT_EDIT_MESSAGE")
    assert call.refusal("im.message.delete", {"MESSAGE_ID": foreign}) == (403, "CANT_EDIT_MESSAGE")
    assert call.result("im.message.delete", {"MESSAGE_ID": theirs}) is True  # the caller runs this chat


def test_reading_a_dialog(call, portal):
    ids = [portal.add_message(CHAT, 3, f"m{number}") for number in range(60)]

    def read(**params):
        return [m["id"] for m in call.result("im.dialog.messages.get", {"DIALOG_ID": CHAT} | params)["messages"]]

    assert read() == ids[:-21:-1]
    assert read(LIMIT=100) == ids[:-51:-1]
    assert read(LAST_ID=ids[5]) == ids[4::-1]
    assert read(FIRST_ID=ids[50], LIMIT=4) == ids[54:50:-1]
    assert read(LAST_ID=1) == []
    answer = call.result("im.dialog.messages.get", {"DIALOG_ID": CHAT, "LIMIT": 1})
    assert answer["chat_id"] == 2935
    assert answer["users"][0]["name"] == "Clara Weiss"
    assert answer["messages"][0]["params"] == []
    assert answer["messages"][0]["unread"] is True
    assert call.refusal("im.dialog.messages.get", {"DIALOG_ID": CHAT, "LAST_ID": "x"}) == (400, "LAST_ID_STRING")
    assert call.refusal("im.dialog.messages.get", {"DIALOG_ID": CHAT, "FIRST_ID": "x"}) == (400, "FIRST_ID_STRING")
    assert call.refusal("im.dialog.messages.get", {"DIALOG_ID": "chat2936"}) == (403, "ACCESS_ERROR")
    assert call.refusal("im.dialog.messages.get", {}) == (400, "DIALOG_ID_EMPTY")


def test_read_and_unread(call, portal):
    ids = [portal.add_message(CHAT, 3, "x") for _ in range(4)]
    assert call.result("im.dialog.read", {"DIALOG_ID": CHAT, "MESSAGE_ID": ids[1]}) == {
        "dialogId": CHAT, "chatId": 2935, "lastId": ids[1], "counter": 2,
    }  # fmt: skip
    assert call.result("im.dialog.read", {"DIALOG_ID": CHAT})["counter"] == 0
    assert call.result("im.dialog.unread", {"DIALOG_ID": CHAT, "MESSAGE_ID": ids[2]}) is True
    assert call.result("im.dialog.get", {"DIALOG_ID": CHAT})["counter"] == 2
    assert call.result("im.dialog.read", {"DIALOG_ID": "chat2936"}) is False
    assert call.refusal("im.dialog.read", {}) == (400, "DIALOG_ID_EMPTY")
    assert call.refusal("im.dialog.unread", {"DIALOG_ID": CHAT}) == (400, "MESSAGE_ID_ERROR")


@pytest.mark.parametrize("dialog_id", ["", None, "chat", "sg", "0", "chat0", "Chat2935", "chat2935 x", True])
def test_writing_wants_a_dialog(call, dialog_id):
    assert call.refusal("im.dialog.writing", {"DIALOG_ID": dialog_id}) == (400, "DIALOG_ID_EMPTY")


@pytest.mark.parametrize("dialog_id", ["chat2936", "chat99", "sg99", "999"])
def test_writing_wants_a_member(call, portal, dialog_id):
    assert call.refusal("im.dialog.writing", {"DIALOG_ID": dialog_id}) == (403, "ACCESS_ERROR")
    assert portal.signals(CHAT) == []


@pytest.mark.parametrize(
    ("kind", "entity", "chat"),
    [
        ("CRM", "DEAL|1663", {"ID": 2939}),
        ("TASKS_TASK", "8293", {"ID": 2940}),
        ("TASKS_TASK", 8293, {"ID": 2940}),
        ("SONET_GROUP", "133", {"ID": 2938}),
        ("CRM", "DEAL|1", None),
        (None, None, None),
    ],
)
def test_the_chat_of_an_entity(call, kind, entity, chat):
    assert call.result("im.chat.get", {"ENTITY_TYPE": kind, "ENTITY_ID": entity}) == chat


def test_notifications_and_their_tags(call, portal):
    def notify(**params):
        return call("im.notify", {"USER_ID": 3, "MESSAGE": " late "} | params)[1]

    assert notify(USER_ID=0)["error"] == "USER_ID_EMPTY"
    assert notify(MESSAGE=" ")["error"] == "MESSAGE_EMPTY"
    assert notify(ATTACH="x")["error"] == "ATTACH_ERROR"
    assert notify(USER_ID=999)["result"] is False
    for _ in range(2):
        notify(TAG="dag.task")  # without CLIENT_ID the tag means nothing
    assert len(portal.notifications) == 2
    first = notify(TAG="dag.task", CLIENT_ID="airflow")["result"]
    second = notify(TAG="dag.task", CLIENT_ID="airflow", TYPE="SYSTEM")["result"]
    assert first != second
    assert [(one.id, one.author_id, one.text) for one in portal.notifications[2:]] == [(second, 0, "late")]
    assert call.result("im.notify.personal.add", {"USER_ID": 2, "MESSAGE": "x"}) > second
    assert call.result("im.notify.system.add", {"USER_ID": 2, "MESSAGE": "x"}) > second
    assert call.refusal("im.notify.delete", {}) == (400, "PARAMS_ERROR")
    assert call.refusal("im.notify.delete", {"TAG": "dag.task"}) == (403, "ACCESS_DENIED")
    assert call.result("im.notify.delete", {"TAG": "dag.task", "CLIENT_ID": "other"}) is False
    assert call.result("im.notify.delete", {"TAG": "dag.task", "CLIENT_ID": "airflow"}) is True
    assert call.result("im.notify.delete", {"ID": portal.notifications[0].id}) is True
    assert len(portal.notifications) == 3


def test_files(call, portal):
    content = base64.b64encode(b"a,b\n1,2\n").decode()

    def upload(dialog_id=CHAT, **fields):
        return call(
            "im.v2.File.upload", {"dialogId": dialog_id, "fields": {"name": "r.csv", "content": content} | fields}
        )

    result = upload(message="the report")[1]["result"]
    message = portal.messages(CHAT)[0]
    assert (result["messageId"], result["chatId"], result["file"]["size"]) == (message.id, 2935, 8)
    assert (message.text, message.files[0]["name"]) == ("the report", "r.csv")
    assert requests.get(result["file"]["urlDownload"], timeout=10).content == b"a,b\n1,2\n"

    def refused(*args, **fields):
        status, answer = upload(*args, **fields)
        return status, answer["error"]

    assert refused(content="") == (400, "FILE_EMPTY")
    assert refused(name="") == (400, "FILE_EMPTY")
    assert refused(content="data:text/csv;base64," + content) == (400, "FILE_INVALID_CONTENT")
    assert refused(content="abc") == (400, "FILE_INVALID_CONTENT")
    assert refused("chat99") == (400, "CHAT_NOT_FOUND")
    assert refused("chat2936") == (403, "ACCESS_DENIED")
    portal.company.max_file_size = 7
    assert refused() == (400, "FILE_TOO_LARGE")
    assert len(portal.messages(CHAT)) == 1


@pytest.fixture
def bot(call, portal):
    extra = portal.bot_connection()["extra"]
    base = {"botId": extra["bot_id"], "botToken": extra["bot_token"], "dialogId": CHAT}
    return lambda name, **params: call(f"imbot.v2.Chat.{name}", base | params)


def test_bots_show_what_they_do(bot, portal):
    action = "InputAction.notify"
    assert bot(action)[1]["result"] == {"result": True}
    bot(action, statusMessageCode="IMBOT_AGENT_ACTION_CALCULATING", duration=600)
    assert [(one.author_id, one.status, one.duration) for one in portal.signals(CHAT)] == [
        (101, None, 25.0), (101, "IMBOT_AGENT_ACTION_CALCULATING", 600.0),
    ]  # fmt: skip

    def refused(**params):
        status, answer = bot(action, **params)
        return status, answer["error"]

    assert refused(botToken=None) == (400, "BOT_TOKEN_NOT_SPECIFIED")
    assert refused(botToken="wrong") == (403, "BOT_OWNERSHIP_ERROR")
    assert refused(botId=None) == (400, "BOT_ID_REQUIRED")
    assert refused(botId=7) == (400, "BOT_NOT_FOUND")
    assert refused(dialogId="chat2936") == (403, "ACCESS_DENIED")
    assert refused(duration=0)[0] == refused(duration=601)[0] == refused(statusMessageCode="NOPE")[0] == 400


def test_bots_write_once_per_uuid(bot, portal, call):
    uuid = "0c42a08f-4235-49fc-994f-c9bccd499ac1"
    send = "Message.send"
    first = bot(send, fields={"message": "report", "templateId": uuid})[1]["result"]
    assert bot(send, fields={"message": "report", "templateId": uuid})[1]["result"]["id"] == first["id"]
    assert first["uuidMap"] == {}
    shown = call.result("im.dialog.messages.get", {"DIALOG_ID": CHAT})["messages"]
    assert [(one["uuid"], one["author_id"]) for one in shown] == [(uuid, 101)]
    for _ in range(2):  # not a version 4 UUID in lower case: means nothing
        bot(send, fields={"message": "x", "templateId": uuid.upper()})
    assert len(portal.messages(CHAT)) == 3
    assert bot(send, fields={"message": " "})[1]["error"] == "EMPTY_MESSAGE"
    assert bot(send, dialogId="1", fields={"message": "to you alone"})[0] == 200
    assert [one.text for one in portal.messages("101")] == ["to you alone"]
    forwarded = bot(send, dialogId="chat2937", fields={"forwardIds": {uuid[::-1]: first["id"]}})[1]["result"]
    assert forwarded["uuidMap"] == {uuid[::-1]: portal.messages("sg17")[0].id}


def test_registering_a_bot(call):
    fields = {"code": "alerts", "botToken": "t" * 40, "properties": {"name": "Alerts"}}

    def refused(**changes):
        return call.refusal("imbot.v2.Bot.register", {"fields": fields | changes})[1]

    bot = call.result("imbot.v2.Bot.register", {"fields": fields})
    assert bot["bot"]["eventMode"] == "fetch"
    assert bot["users"][0]["workPosition"] == ""
    again = call.result("imbot.v2.Bot.register", {"fields": fields | {"properties": {"name": "Other"}}})
    assert (again["bot"]["id"], again["users"][0]["name"]) == (bot["bot"]["id"], "Alerts")
    assert refused(botToken="other") == "BOT_CODE_ALREADY_TAKEN"
    assert refused(botToken="t" * 41) == "BOT_TOKEN_INVALID_LENGTH"
    assert refused(botToken="") == "BOT_TOKEN_NOT_SPECIFIED"
    assert refused(code="") == "BOT_CODE_REQUIRED"
    assert refused(properties={}) == "BOT_PROPERTIES_REQUIRED"
    assert refused(type="robot") == "BOT_INVALID_TYPE"
    assert refused(eventMode="push") == "BOT_INVALID_EVENT_MODE"
    assert refused(eventMode="webhook") == "BOT_WEBHOOK_URL_REQUIRED"


def test_what_becomes_of_a_bot(call, portal):
    mine = {"botToken": "mine"}
    fields = {"code": "weather", "properties": {"name": "Weather"}, **mine}
    bot_id = call.result("imbot.v2.Bot.register", {"fields": fields})["bot"]["id"]
    this = {"botId": bot_id, **mine}

    def refused(method, params):
        return call.refusal(f"imbot.v2.Bot.{method}", params)[1]

    assert call.result("imbot.v2.Bot.get", {"code": "weather", **mine})["bot"]["countChat"] == 0
    short = call.result("imbot.v2.Bot.get", {"botId": bot_id, "botToken": "other"})["bot"]
    assert short["code"] == "weather"
    assert "eventMode" not in short
    assert refused("get", mine) == "PARAMS_REQUIRED"
    assert refused("get", {"code": "nobody", **mine}) == "BOT_NOT_FOUND"
    assert refused("get", {"code": "weather"}) == "BOT_TOKEN_NOT_SPECIFIED"

    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8) + (5000).to_bytes(4, "big") * 2).decode()
    changed = call.result(
        "imbot.v2.Bot.update",
        {**this, "fields": {"properties": {"name": "Rain", "avatar": picture}, "isHidden": True, "backgroundId": "no"}},
    )
    assert (changed["users"][0]["name"], changed["bot"]["isHidden"]) == ("Rain", True)
    assert changed["bot"]["backgroundId"] is None
    for avatar, code in (("bm90IGEgcGljdHVyZQ==", "BOT_AVATAR_INCORRECT_TYPE"), ("=", "BOT_AVATAR_INCORRECT_TYPE")):
        assert refused("update", {**this, "fields": {"properties": {"avatar": avatar}}}) == code
    large = base64.b64encode(base64.b64decode(picture)[:16] + (5001).to_bytes(4, "big") * 2).decode()
    assert refused("update", {**this, "fields": {"properties": {"avatar": large}}}) == "BOT_AVATAR_INCORRECT_SIZE"

    assert refused("update", {**this, "fields": {"botToken": portal.bot_token}}) == "BOT_TOKEN_ROTATION_FAILED"
    call.result("imbot.v2.Bot.update", {**this, "fields": {"botToken": "new"}})
    assert refused("update", {**this, "fields": {}}) == "BOT_OWNERSHIP_ERROR"
    assert call.result("imbot.v2.Bot.list", mine)["bots"] == []
    listed = call.result("imbot.v2.Bot.list", {"botToken": "new", "limit": 1, "filter": {"type": "bot"}})
    assert ([bot["id"] for bot in listed["bots"]], listed["hasNextPage"]) == ([bot_id], False)

    assert refused("unregister", this) == "BOT_OWNERSHIP_ERROR"
    assert call.result("imbot.v2.Bot.unregister", {"botId": bot_id, "botToken": "new"}) == {"result": True}
    assert refused("unregister", {"botId": bot_id, "botToken": "new"}) == "BOT_NOT_FOUND"


def test_users(call, portal):
    portal.add_user("Anna", "Zeller", "zeller@example.com")
    assert len(call.result("user.get")) == 7
    assert len(call.result("user.get", {"FILTER": {"ACTIVE": True}})) == 6
    assert [row["ID"] for row in call.result("user.get", {"EMAIL": "anna@example.com"})] == ["1"]
    assert [row["ID"] for row in call.result("user.get", {"FILTER": {"ID": [2, 3], "!ID": 3}})] == ["2"]
    assert [row["ID"] for row in call.result("user.get", {"sort": "ID", "order": "DESC", "FILTER": {"<ID": 4}})] == [
        "3", "2", "1",
    ]  # fmt: skip
    assert [row["LAST_NAME"] for row in call.result("user.search", {"FIND": "anna"})] == ["Petrova", "Zeller"]
    assert [row["ID"] for row in call.result("user.search", {"FILTER": {"LAST_NAME": "orl"}})] == ["2"]
    assert call.result("user.current")["EMAIL"] == "anna@example.com"
    portal.scopes = ["im"]
    assert call.refusal("user.get") == (403, "insufficient_scope")
