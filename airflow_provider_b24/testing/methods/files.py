"""``im.v2.File.upload``"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from airflow_provider_b24.testing.chats import MalformedDialog, UnknownChat, UnknownUser
from airflow_provider_b24.testing.company import StoredFile
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.registry import Call, method
from airflow_provider_b24.testing.wire import is_empty

_TYPES = {"png": "image", "jpg": "image", "jpeg": "image", "gif": "image", "mp4": "video", "mp3": "audio"}


def _content(call: Call, fields: dict[str, Any]) -> bytes:
    name, content = fields.get("name"), fields.get("content")
    if is_empty(name) or is_empty(content):
        raise PortalError("FILE_EMPTY", "File name and content are required")
    if not isinstance(content, str):
        raise PortalError("FILE_INVALID_CONTENT", "Invalid base64 content")
    if len(content) * 3 // 4 > call.company.max_file_size + 2:
        raise PortalError("FILE_TOO_LARGE", "File is too large")
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise PortalError("FILE_INVALID_CONTENT", "Invalid base64 content") from None
    if len(data) > call.company.max_file_size:
        raise PortalError("FILE_TOO_LARGE", "File is too large")
    return data


@method("im.v2.File.upload", "im", in_batch=False)
def file_upload(call: Call) -> Any:
    """Put a file into a dialog, as a message of the caller."""
    company, author = call.company, call.caller.user_id
    try:
        chat = company.chats.resolve(call.get("dialogId"), author, company.users, company.now_text())
    except (MalformedDialog, UnknownChat, UnknownUser):
        raise PortalError("CHAT_NOT_FOUND", "CHAT_NOT_FOUND") from None
    if author not in chat.members:
        raise PortalError("ACCESS_DENIED", "Access denied", status=403)
    fields = call.get("fields")
    data = _content(call, fields if isinstance(fields, dict) else {})
    name = str(fields["name"])
    stored = StoredFile(company.next_file_id(), chat.id, name, data)
    company.files[stored.id] = stored
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    link = f"{call.base_url}/files/{stored.id}/{name}"
    kind = _TYPES.get(extension, "file")
    card = {
        "id": stored.id,
        "chatId": chat.id,
        "date": company.now_text(),
        "type": kind,
        "name": name,
        "extension": extension,
        "size": len(data),
        "image": False,
        "status": "done",
        "progress": 100,
        "authorId": author,
        "authorName": company.name_of(author),
        "urlPreview": link if kind == "image" else "",
        "urlShow": link,
        "urlDownload": link,
        "viewerAttrs": {
            "viewer": "",
            "viewerType": "code",
            "src": link,
            "objectId": str(stored.id),
            "viewerGroupBy": str(chat.id),
            "imChatId": chat.id,
            "title": name,
            "actions": '[{"type":"download"}]',
        },
        "mediaUrl": {"preview": {"250": ""}},
        "isTranscribable": False,
        "isVideoNote": False,
        "isVoiceNote": False,
    }
    text = str(fields.get("message") or "").strip()
    params = {"fields": {"name": name, "message": text}}
    message = company.post(chat, author, text, params=params, files=[card])
    return {
        "file": card,
        "messageId": message.id,
        "chatId": chat.id,
        "dialogId": str(call.get("dialogId")),
    }
