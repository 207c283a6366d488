"""The small company that lives in the portal."""

from __future__ import annotations

import threading
import uuid as uuids
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from airflow_provider_b24.testing.chats import Chat, ChatRegister
from airflow_provider_b24.testing.crm import ZONE, Crm
from airflow_provider_b24.testing.records import Message, Notification, TypingSignal

TEXT_LIMIT = 20_000
_CUT = " (...)"


@dataclass
class User:
    """An employee, or the face of a bot."""

    id: int
    name: str
    last_name: str
    email: str
    position: str = ""
    active: bool = True
    admin: bool = False
    gender: str = ""
    bot: bool = False
    departments: list[int] = field(default_factory=lambda: [1])

    @property
    def full_name(self) -> str:
        """First and last name."""
        return f"{self.name} {self.last_name}".strip()


@dataclass
class Department:
    """A part of the company.

    :ivar parent: the department above; 0 for the company itself.
    :ivar head: the user who leads it; 0 for nobody.
    """

    id: int
    name: str
    parent: int = 0
    head: int = 0


@dataclass
class Bot:
    """A chat bot. Whoever knows ``token`` may speak for it."""

    id: int
    code: str
    token: str
    owner_app: str
    type: str = "bot"
    event_mode: str = "fetch"
    avatar: bytes = b""
    traits: dict[str, Any] = field(default_factory=dict)


@dataclass
class StoredFile:
    """An uploaded file."""

    id: int
    chat_id: int
    name: str
    content: bytes
    author_id: int = 0


class Company:
    """Everything the methods read and change. Hold ``lock`` while touching it.

    :param clock: seconds since the epoch.
    :param typing_seconds: how long a client shows a writing signal that names no duration.
    :param edit_window: for how many seconds a message may be edited or deleted; None for ever.
    :param zone: in which the CRM and ``server.time`` show times.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        typing_seconds: float,
        edit_window: float | None = None,
        zone: tzinfo = ZONE,
    ) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.typing_seconds = typing_seconds
        self.edit_window = edit_window
        self.zone = zone
        self.license = "en_std"
        self.max_file_size = 100 * 1024 * 1024
        self.users: dict[int, User] = {}
        self.departments: dict[int, Department] = {}
        self.bots: dict[int, Bot] = {}
        self.chats = ChatRegister()
        self.crm = Crm(self.now_text)
        self.tasks: dict[int, dict[str, Any]] = {}
        # The rows of further lists, by the name of the method without its last word; tests fill them.
        self.lists: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.notifications: list[Notification] = []
        self.files: dict[int, StoredFile] = {}
        # The names of methods that this portal has not.
        self.without: set[str] = set()
        self.publish: Callable[[dict[str, Any]], None] = lambda _event: None
        self._last_notification = 12_000
        self._last_file = 5200

    def now(self) -> datetime:
        """The time, in the zone that times are stored in."""
        return datetime.fromtimestamp(self.clock(), ZONE)

    def now_text(self) -> str:
        """The time as the portal writes it."""
        return self.now().isoformat(timespec="seconds")

    def add_user(self, user: User) -> User:
        """Hire somebody."""
        self.users[user.id] = user
        return user

    def next_user_id(self) -> int:
        """A number not given yet."""
        return max(self.users, default=0) + 1

    def next_file_id(self) -> int:
        """A number not given yet."""
        self._last_file += 2
        return self._last_file

    def name_of(self, user_id: int) -> str:
        """Whose message is it?"""
        return self.users[user_id].full_name if user_id in self.users else ""

    def full_name_of(self, department: Department) -> str:
        """A department's name with those of the departments above it."""
        names = [department.name]
        while department.parent in self.departments:
            department = self.departments[department.parent]
            names.append(department.name)
        return " / ".join(names)

    def post(
        self,
        chat: Chat,
        author_id: int,
        text: str,
        *,
        params: dict[str, Any] | None = None,
        uuid: str | None = None,
        files: list[dict[str, Any]] | None = None,
    ) -> Message:
        """Write a message; it puts the author's indicator out."""
        if author_id and uuid is None:
            uuid = str(uuids.uuid4())
        message = Message(
            id=self.chats.next_message_id(),
            dialog_id=chat.dialog_id(1),
            author_id=author_id,
            text=self.cut(text),
            date=self.now(),
            params=params or {},
            uuid=uuid,
            files=files or [],
        )
        chat.messages.append(message)
        chat.history.append((self.clock(), author_id, None))
        if author_id:
            chat.read[author_id] = message.id
        self.publish({"type": "message", "chat": chat, "message": message})
        return message

    def changed(self, chat: Chat, message: Message) -> None:
        """Tell those who watch that a message was edited or deleted."""
        self.publish({"type": "message", "chat": chat, "message": message})

    @staticmethod
    def cut(text: str) -> str:
        """Text as it is stored: overlong text is cut without an error."""
        return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + _CUT

    def signal(self, chat: Chat, author_id: int, *, status: str | None = None, duration: float | None = None) -> None:
        """Light the author's indicator."""
        seconds = self.typing_seconds if duration is None else float(duration)
        signal = TypingSignal(self.clock(), author_id, status, seconds)
        chat.signals.append(signal)
        chat.history.append((signal.time, author_id, seconds))
        self.publish({"type": "typing", "chat": chat, "signal": signal})

    def notify(self, notification: Notification) -> int:
        """Send a notification; an earlier one of the same application and tag goes."""
        if notification.app and notification.tag:
            key = (notification.app, notification.tag)
            self.notifications = [one for one in self.notifications if (one.app, one.tag) != key]
        self._last_notification += 1
        notification.id = self._last_notification
        self.notifications.append(notification)
        self.publish({"type": "notifications"})
        return notification.id


def found_company(company: Company, bot_token: str, bot_app: str) -> None:
    """Found the departments, hire the people, open the chats, register the bot, plan the tasks."""
    for department in (
        Department(1, "Example Ltd", head=4),
        Department(3, "Sales", 1, head=4),
        Department(5, "Accounting", 1, head=5),
        Department(7, "Analytics", 1, head=1),
        Department(9, "Sales", 7),
    ):
        company.departments[department.id] = department
    people = [
        User(1, "Anna", "Petrova", "anna@example.com", "Head of analytics", admin=True, gender="F", departments=[1, 7]),
        User(2, "Boris", "Orlov", "boris@example.com", "Sales manager", gender="M", departments=[3]),
        User(3, "Clara", "Weiss", "clara@example.com", "Sales manager", gender="F", departments=[3]),
        User(4, "Daniel", "Kim", "daniel@example.com", "Commercial director", gender="M", departments=[1]),
        User(5, "Elena", "Volkova", "elena@example.com", "Accountant", gender="F", departments=[5]),
        User(6, "Felix", "Braun", "felix@example.com", "Sales manager", active=False, gender="M", departments=[3]),
    ]
    for user in people:
        company.add_user(user)
    company.add_user(User(101, "Report", "Bot", "", "Assistant", bot=True))
    company.bots[101] = Bot(101, "report_bot", bot_token, bot_app)
    created = company.now_text()
    for chat in (
        Chat(2935, "Sales reports", {1, 2, 3, 4, 101}, 1),
        Chat(2936, "Board", {4, 5}, 4),
        Chat(2937, "Warehouse project", {1, 2, 5, 101}, 2, group_id=17, entity_type="SONET_GROUP", entity_id="17"),
        Chat(2938, "Marketing", {1, 3, 101}, 3, group_id=133, entity_type="SONET_GROUP", entity_id="133"),
        Chat(2939, "Deal 1663", {1, 2, 101}, 2, entity_type="CRM", entity_id="DEAL|1663"),
        Chat(2940, "Task 8293", {1, 4, 101}, 4, entity_type="TASKS_TASK", entity_id="8293"),
    ):  # fmt: skip
        chat.created = created
        company.chats.add(chat)
    start = company.now().replace(microsecond=0) - timedelta(days=20)
    plan = [
        (8291, "Collect the figures of the week", 2, 2, "pending", None),
        (8293, "Weekly sales report", 4, 3, "in_progress", 17),
        (8295, "Agree on the estimate", 3, 5, "completed", 17),
        (8297, "Prepare the contract", 5, 2, "pending", None),
        (8299, "Call the customer back", 2, 6, "deferred", 133),
    ]
    for number, (task_id, title, responsible, status, word, group) in enumerate(plan):
        day = start + timedelta(days=3 * number)
        company.tasks[task_id] = {
            "id": task_id,
            "title": title,
            "description": f"{title}. Details are in the chat.",
            "creatorId": 1,
            "responsibleId": responsible,
            "created": day.isoformat(),
            "changed": (day + timedelta(hours=4)).isoformat(),
            "closed": (day + timedelta(days=2)).isoformat() if status == 5 else None,
            "deadline": (day + timedelta(days=7)).isoformat(),
            "groupId": group,
            "priority": "average",
            "status": word,
            "_status": status,
        }
