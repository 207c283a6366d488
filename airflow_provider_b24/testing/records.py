"""What the portal remembers, as the tests read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Message:
    """A message of a dialog.

    ``dialog_id`` is the dialog as the webhook's owner sees it, ``author_id`` is 0 for a system message,
    ``params`` are the parameters of the call that posted it, as they were sent; ``reactions`` are who reacted, by
    the reaction's code.
    """

    id: int
    dialog_id: str
    author_id: int
    text: str
    date: datetime
    params: dict[str, Any] = field(default_factory=dict)
    uuid: str | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    edited: bool = False
    deleted: bool = False
    reactions: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class TypingSignal:
    """An accepted writing signal: when (epoch seconds), whose, the bot's status code, and for how many
    seconds a client shows it."""

    time: float
    author_id: int
    status: str | None
    duration: float


@dataclass
class RecordedCall:
    """One request, or one sub-command of a batch.

    ``status`` and ``error`` are what was answered; both stay ``None`` while the answer is under way and
    when none was given (the connection was dropped). ``version`` is 2 or 3.
    """

    time: float
    method: str
    params: Any
    version: int
    http_method: str
    path: str
    headers: dict[str, str]
    content_type: str
    body: bytes
    status: int | None = None
    error: str | None = None
    in_batch: bool = False
    source_port: int = 0


@dataclass
class Notification:
    """A notification of ``im.notify*``; ``author_id`` is 0 for a system one."""

    id: int
    user_id: int
    author_id: int
    text: str
    date: datetime
    app: str | None = None
    tag: str | None = None
    sub_tag: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
