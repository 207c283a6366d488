"""The chat page: what a colleague's messenger would show, live."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from airflow_provider_b24.testing.chats import Chat
from airflow_provider_b24.testing.company import Company
from airflow_provider_b24.testing.methods.dialogs import color_of
from airflow_provider_b24.testing.records import Message, TypingSignal
from airflow_provider_b24.testing.wire import encode_json, to_int

_FOLDER = Path(__file__).parent / "page"
_TYPES = {"chat.css": "text/css", "chat.js": "text/javascript", "bbcode.js": "text/javascript"}
_HEADERS = {
    "Cache-Control": "no-store",
    # Messages come from outside: nothing in them may run, or fetch anything from elsewhere.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
}
_HEARTBEAT_SECONDS = 15.0
_OWNER = 1

_ACTIONS = {
    "THINKING": "is thinking",
    "SEARCHING": "is searching",
    "GENERATING": "is preparing an answer",
    "ANALYZING": "is analysing the request",
    "PROCESSING": "is processing data",
    "TRANSLATING": "is translating",
    "CONNECTING": "is connecting to a service",
    "CHECKING": "is checking the data",
    "CALCULATING": "is calculating",
    "READING_DOCS": "is reading documents",
    "COMPOSING": "is writing an answer",
}


class ChatPage:
    """Routes and events of the page.

    :param company: whose dialogs are shown.
    """

    def __init__(self, company: Company) -> None:
        self._company = company
        self._lock = threading.Lock()
        self._readers: list[tuple[asyncio.AbstractEventLoop, asyncio.Queue[bytes]]] = []
        company.publish = self._publish

    def add_routes(self, app: FastAPI) -> None:
        """Serve the page."""
        for path in ("/", "/online/"):
            app.add_route(path, self._index, methods=["GET"])
        app.add_route("/page/events", self._events, methods=["GET"])
        app.add_route("/page/state", self._state, methods=["GET"])
        app.add_route("/page/messages", self._messages, methods=["GET"])
        app.add_route("/page/notifications", self._notifications, methods=["GET"])
        app.add_route("/page/{name}", self._asset, methods=["GET"])

    async def _index(self, _request: Request) -> Response:
        return Response((_FOLDER / "index.html").read_bytes(), media_type="text/html", headers=_HEADERS)

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _TYPES:
            return Response("not found", 404)
        return Response((_FOLDER / name).read_bytes(), media_type=_TYPES[name], headers=_HEADERS)

    async def _state(self, _request: Request) -> Response:
        company = self._company
        with company.lock:
            dialogs = [self._dialog(chat) for chat in company.chats.by_id.values()]
            users = {
                str(user.id): {"name": user.full_name, "color": color_of(user.id), "bot": user.bot}
                for user in company.users.values()
            }
        return _json({"dialogs": dialogs, "users": users})

    async def _messages(self, request: Request) -> Response:
        wanted = request.query_params.get("dialog")
        with self._company.lock:
            for chat in self._company.chats.by_id.values():
                if wanted in {chat.dialog_id(_OWNER), f"chat{chat.id}"}:
                    return _json([self._message(chat, message) for message in chat.messages])
        return _json([])

    async def _notifications(self, _request: Request) -> Response:
        company = self._company
        with company.lock:
            return _json(
                [
                    {
                        "id": one.id,
                        "to": company.name_of(one.user_id),
                        "author": company.name_of(one.author_id) or "The system",
                        "text": one.text,
                        "date": one.date.timestamp(),
                        "attach": one.params.get("ATTACH"),
                    }
                    for one in reversed(company.notifications)
                ]
            )

    async def _events(self, _request: Request) -> Response:
        reader = (asyncio.get_running_loop(), asyncio.Queue[bytes]())
        with self._lock:
            self._readers.append(reader)
        return StreamingResponse(self._stream(reader), media_type="text/event-stream", headers=_HEADERS)

    async def _stream(self, reader: tuple[asyncio.AbstractEventLoop, asyncio.Queue[bytes]]) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 500\n\n"
            while True:
                try:
                    yield await asyncio.wait_for(reader[1].get(), _HEARTBEAT_SECONDS)
                except (TimeoutError, asyncio.TimeoutError):
                    yield b": still here\n\n"
        finally:
            with self._lock:
                self._readers.remove(reader)

    def _publish(self, event: dict[str, Any]) -> None:
        """Tell every open page; called from any thread."""
        with self._lock:
            readers = list(self._readers)
        if not readers:
            return
        data = b"data: " + json.dumps(self._shown(event)).encode() + b"\n\n"
        for loop, queue in readers:
            loop.call_soon_threadsafe(queue.put_nowait, data)

    def _shown(self, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] == "message":
            chat: Chat = event["chat"]
            return {
                "type": "message",
                "dialog": self._dialog(chat),
                "message": self._message(chat, event["message"]),
            }
        if event["type"] == "typing":
            signal: TypingSignal = event["signal"]
            return {
                "type": "typing",
                "dialog": self._dialog(event["chat"]),
                "typing": self._typing(signal, signal.duration),
            }
        return {"type": event["type"]}

    def _typing(self, signal: TypingSignal, seconds: float) -> dict[str, Any]:
        action = _ACTIONS.get((signal.status or "").removeprefix("IMBOT_AGENT_ACTION_"))
        return {
            "author": signal.author_id,
            "name": self._company.name_of(signal.author_id),
            "action": action,
            "seconds": seconds,
        }

    def _dialog(self, chat: Chat) -> dict[str, Any]:
        company = self._company
        last = next((message for message in reversed(chat.messages) if not message.deleted), None)
        title = chat.title
        if chat.private:
            others = sorted(chat.members - {_OWNER}) or [_OWNER]
            title = " and ".join(company.name_of(member) for member in others)
        now = company.clock()
        return {
            "id": chat.dialog_id(_OWNER),
            "alias": f"chat{chat.id}",
            "title": title,
            "private": chat.private,
            "color": color_of(chat.id),
            "members": [company.name_of(member) for member in sorted(chat.members)],
            "last": self._message(chat, last) if last else None,
            "typing": [self._typing(signal, end - now) for signal, end in chat.lit(now)],
        }

    def _message(self, chat: Chat, message: Message) -> dict[str, Any]:
        company = self._company
        names = ("ATTACH", "KEYBOARD")
        reply_id = message.params.get("REPLY_ID") or message.params.get("replyId")
        quoted = chat.find(to_int(reply_id)) if reply_id else None
        return {
            "id": message.id,
            "author": message.author_id,
            "text": message.text,
            "date": message.date.timestamp(),
            "params": {name: message.params[name] for name in names if name in message.params},
            "reply": {
                "id": quoted.id,
                "author": company.name_of(quoted.author_id),
                "text": quoted.text,
                "deleted": quoted.deleted,
            }
            if quoted
            else None,
            "reactions": {code: [company.name_of(one) for one in people] for code, people in message.reactions.items()},
            "files": [{name: file[name] for name in ("name", "size", "type", "urlDownload")} for file in message.files],
            "edited": message.edited,
            "deleted": message.deleted,
        }


def _json(value: Any) -> Response:
    return Response(encode_json(value), media_type="application/json", headers=_HEADERS)
