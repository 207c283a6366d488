"""Files in the fake portal: the bot's upload, the older way, and what a portal has not."""

from __future__ import annotations

import base64

import pytest

CHAT = "chat2935"
CONTENT = base64.b64encode(b"text").decode()


@pytest.fixture
def folder(call):
    return call.result("im.disk.folder.get", {"CHAT_ID": 2935})["ID"]


@pytest.fixture
def upload(folder):
    data = {"id": folder, "data": {"NAME": "a.txt"}, "fileContent": ["a.txt", CONTENT]}
    return lambda **changes: ("disk.folder.uploadFile", {**data, **changes})


def test_three_steps(call, portal, upload):
    first = call.result(*upload())
    second = call.result(*upload(generateUniqueName=True))
    assert (first["NAME"], second["NAME"], first["SIZE"]) == ("a.txt", "a (1).txt", "4")
    posted = call.result(
        "im.disk.file.commit", {"DIALOG_ID": CHAT, "UPLOAD_ID": [first["ID"], second["ID"]], "MESSAGE": "see"}
    )
    (message,) = portal.messages(CHAT)
    assert (posted["MESSAGE_ID"], message.text) == (message.id, "see")
    assert list(posted["FILES"]) == [f"upload{first['ID']}", f"upload{second['ID']}"]
    assert posted["DISK_ID"] == [str(first["ID"]), str(second["ID"])]
    told = call.result("im.dialog.messages.get", {"DIALOG_ID": CHAT})
    assert told["messages"][0]["params"]["FILE_ID"] == [first["ID"], second["ID"]]
    assert [(card["name"], card["size"]) for card in told["files"]] == [("a.txt", 4), ("a (1).txt", 4)]


@pytest.mark.parametrize(
    ("method", "params", "refusal"),
    [
        ("im.disk.folder.get", {}, (400, "CHAT_ID_EMPTY")),
        ("im.disk.folder.get", {"CHAT_ID": ""}, (400, "CHAT_ID_EMPTY")),
        ("im.disk.folder.get", {"DIALOG_ID": "x"}, (400, "DIALOG_ID_EMPTY")),
        ("im.disk.folder.get", {"DIALOG_ID": "4"}, (400, "DIALOG_ID_EMPTY")),
        ("im.disk.folder.get", {"DIALOG_ID": "chat2936"}, (403, "ACCESS_ERROR")),
        ("im.disk.folder.get", {"CHAT_ID": 99}, (403, "ACCESS_ERROR")),
        ("im.disk.file.commit", {"CHAT_ID": 2935}, (400, "FILES_ERROR")),
        ("im.disk.file.commit", {"CHAT_ID": 2935, "FILE_ID": []}, (400, "SAVE_ERROR")),
        ("im.disk.file.commit", {"CHAT_ID": 2935, "UPLOAD_ID": 5}, (400, "SAVE_ERROR")),
        ("im.disk.file.commit", {"DIALOG_ID": "chat2936", "UPLOAD_ID": 5}, (403, "ACCESS_ERROR")),
    ],
)
def test_refusals(call, method, params, refusal):
    assert call.refusal(method, params) == refusal


def test_refused_uploads(call, upload):
    assert call.refusal(*upload(id=None)) == (400, "ERROR_ARGUMENT")
    assert call.refusal(*upload(id=7)) == (400, "ERROR_NOT_FOUND")
    assert call.refusal(*upload(id=4_002_936)) == (400, "ACCESS_DENIED")
    assert call.refusal(*upload(data={})) == (400, "DISK_BASE_SERVICE_22001")
    assert call.refusal(*upload(fileContent=["a.txt", "%"])) == (400, "ERROR_COULD_NOT_SAVE_FILE")
    call.result(*upload())
    assert call.refusal(*upload()) == (400, "DISK_OBJ_22000")


def test_a_bots_upload(call, portal):
    extra = portal.bot_connection()["extra"]
    params = {"botId": 101, "botToken": extra["bot_token"], "dialogId": CHAT}
    fields = {"name": "a.txt", "content": CONTENT, "message": "see"}
    result = call.result("imbot.v2.File.upload", {**params, "fields": fields})
    (message,) = portal.messages(CHAT)
    assert (message.author_id, message.text, result["messageId"]) == (101, "see", message.id)
    assert result["file"] == {
        "id": message.files[0]["id"],
        "chatId": 2935,
        "name": "a.txt",
        "extension": "txt",
        "size": 4,
    }
    assert call.refusal("imbot.v2.File.upload", {**params, "botToken": None}) == (400, "BOT_TOKEN_NOT_SPECIFIED")
    assert call.refusal("imbot.v2.File.upload", params) == (400, "FILE_EMPTY")
    assert call.refusal("imbot.v2.File.upload", {**params, "dialogId": "sg17"}) == (403, "ACCESS_DENIED")


def test_what_a_portal_has_not(call, portal):
    portal.without.add("im.v2.File.upload")
    assert call.refusal("im.v2.File.upload", {}) == (404, "ERROR_METHOD_NOT_FOUND")
    assert call.result("method.get", {"name": "im.v2.file.upload"}) == {"isExisting": False, "isAvailable": False}


def test_scopes(call, portal, upload):
    portal.scopes = ["im"]
    assert call.refusal(*upload()) == (403, "insufficient_scope")
