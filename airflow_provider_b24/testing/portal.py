"""The fake portal's face."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from types import TracebackType
from typing import Any

from airflow_provider_b24.testing.access import Access
from airflow_provider_b24.testing.application import build_application
from airflow_provider_b24.testing.chats import Chat
from airflow_provider_b24.testing.churn import Churn
from airflow_provider_b24.testing.company import Company, User, found_company
from airflow_provider_b24.testing.crm import ZONE
from airflow_provider_b24.testing.dispatch import Dispatcher
from airflow_provider_b24.testing.faults import Faults
from airflow_provider_b24.testing.fields import UserField, add_user_field
from airflow_provider_b24.testing.gateway import Gateway
from airflow_provider_b24.testing.limits import LeakyBucket, OperatingBudget
from airflow_provider_b24.testing.methods import load
from airflow_provider_b24.testing.records import Message, Notification, RecordedCall, TypingSignal
from airflow_provider_b24.testing.seeds import deals
from airflow_provider_b24.testing.server import Server

_BOT_ID = 101


class FakePortal:
    """A Bitrix24 portal on 127.0.0.1, written from the vendor's documentation.

    It lives between ``start()`` and ``stop()``, or for a ``with`` block.

    :param port: 0 for any free one.
    :param seed_deals: how many deals there are at the start.
    :param bucket: size and fall per second of the leaky bucket of requests, such as ``(50, 2.0)``; ``None``
        for a portal that does not limit requests.
    :param operating_limit: seconds of execution per method in ten minutes; ``None`` for no limit.
    :param clock: seconds since the epoch; the limits, tokens and dates go by it.
    :param latency: seconds that every answer takes.
    :param command_latency: seconds that every method takes; the commands of a batch take it one after the other, and
        it counts as their execution time. Meanwhile other requests are answered.
    :param typing_seconds: how long a client shows a writing signal.
    :param edit_window: for how many seconds a user's message may be edited or deleted; ``None`` for ever. It can be
        changed later, as ``portal.company.edit_window``. For bots' messages no such time is documented.
    :param zone: the portal's time zone; +03:00 by default.
    :param without: names of methods that this portal has not, such as an old one's ``im.v2.File.upload``.
    :raises OSError: on start, if the port is in use.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        seed_deals: int = 0,
        bucket: tuple[float, float] | None = None,
        operating_limit: float | None = None,
        clock: Callable[[], float] = time.time,
        latency: float = 0.0,
        command_latency: float = 0.0,
        typing_seconds: float = 25.0,
        edit_window: float | None = None,
        without: Iterable[str] = (),
        zone: tzinfo | None = None,
    ) -> None:
        load()
        self._wanted_port = port
        self._host = "127.0.0.1"
        self._port = port
        self._stopping = threading.Event()
        self._servers: list[Server] = []
        self.access = Access(clock)
        self.bot_token = "report-bot-token"  # noqa: S105 - of a bot that exists only here
        self.company = Company(clock, typing_seconds, edit_window, ZONE if zone is None else zone)
        found_company(self.company, self.bot_token, f"token:{self.bot_token}")
        self.faults = Faults()
        self.bucket = LeakyBucket(*bucket, clock) if bucket is not None else None
        self.operating = OperatingBudget(operating_limit, clock)
        self._dispatcher = Dispatcher(self.company, self.operating, lambda: self.url)
        self.company.without = set(without)
        self._gateway = Gateway(
            self._dispatcher,
            self.access,
            self.bucket,
            self.faults,
            base_url=lambda: self.url,
            drop=self._drop,
            stopping=self._stopping,
            latency=latency,
            command_latency=command_latency,
        )
        self._app = build_application(self.company, self.access, self._gateway, base_url=lambda: self.url)
        if seed_deals:
            self.add_deals(seed_deals)

    def start(self) -> FakePortal:
        """Serve."""
        self._stopping.clear()
        server = Server(self._app, self._wanted_port)
        self._port = server.port
        server.start()
        self._servers.append(server)
        return self

    def stop(self) -> None:
        """Stop at once; connections that are open are dropped."""
        self._stopping.set()
        for server in self._servers:
            server.stop()
        self._servers.clear()

    def __enter__(self) -> FakePortal:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # ---- addresses and connections

    @property
    def host(self) -> str:
        """The portal's host."""
        return self._host

    @property
    def port(self) -> int:
        """The portal's port."""
        return self._port

    @property
    def url(self) -> str:
        """The portal's address, without a slash at the end."""
        return f"http://{self._host}:{self._port}"

    @property
    def webhook_url(self) -> str:
        """The address of the webhook, with a slash at the end."""
        return f"{self.url}/rest/{self.access.user_id}/{self.access.webhook_code}/"

    @property
    def oauth_url(self) -> str:
        """The address that renews tokens."""
        return f"{self.url}/oauth/token/"

    def connection(self) -> dict[str, Any]:
        """An Airflow connection through the webhook, as ``AIRFLOW_CONN_…`` takes it in JSON."""
        return self._connection(login=str(self.access.user_id), password=self.access.webhook_code)

    def bot_connection(self) -> dict[str, Any]:
        """The same, with the bot that is a member of the chats."""
        connection = self.connection()
        connection["extra"] |= {"bot_id": _BOT_ID, "bot_token": self.bot_token}
        return connection

    def oauth_connection(self, *, authorised: bool = True) -> dict[str, Any]:
        """An Airflow connection through an OAuth application.

        :param authorised: with fresh tokens; otherwise with none, as before somebody lets the application act for him.
        """
        connection = self._connection()
        connection["extra"] |= {
            "client_id": self.access.client_id,
            "client_secret": self.access.client_secret,
            "oauth_url": self.oauth_url,
        }
        if authorised:
            connection["extra"] |= dict(zip(("access_token", "refresh_token"), self.access.issue(), strict=True))
        return connection

    def _connection(self, **fields: Any) -> dict[str, Any]:
        # Nothing happens here long after it was asked for: whoever lost an answer need not wait as for a real portal.
        extra: dict[str, Any] = {"longest_request": 1}
        if self.bucket is None:
            extra["plan"] = "unlimited"
        return {
            "conn_type": "bitrix24",
            "host": self._host,
            "port": self._port,
            "schema": "http",
            **fields,
            "extra": extra,
        }

    @property
    def scopes(self) -> list[str]:
        """What the webhook and the application may use; assign another list to change it."""
        return self.access.scopes

    @scopes.setter
    def scopes(self, scopes: Iterable[str]) -> None:
        self.access.scopes = list(scopes)

    @property
    def without(self) -> set[str]:
        """The methods that this portal has not; change it at will."""
        return self.company.without

    def expire_tokens(self) -> None:
        """Every access token issued so far is old; the refresh tokens are good."""
        self.access.expire_tokens()

    def rename(self, target: int | str = 0) -> str:
        """Move the portal; its old address answers every call with a redirect (302) to the new one.

        :param target: another port (0 for any free one), or another name of this machine.
        :return: the new address.
        :raises OSError: the port is in use.
        """
        self._gateway.retired.add(f"{self._host}:{self._port}")
        if isinstance(target, str):
            self._host = target
        else:
            server = Server(self._app, target)
            server.start()
            self._servers.append(server)
            self._port = server.port
        self._gateway.retired.discard(f"{self._host}:{self._port}")
        return self.url

    def _drop(self, client: Any) -> None:
        any(server.drop(client) for server in self._servers)

    # ---- what happened

    @property
    def calls(self) -> list[RecordedCall]:
        """Every request, and every sub-command of a batch, in order; requests for tokens are ``oauth.token``."""
        return list(self._gateway.calls)

    @property
    def requests(self) -> list[RecordedCall]:
        """HTTP requests only."""
        return [call for call in self.calls if not call.in_batch]

    @property
    def most_at_once(self) -> int:
        """How many requests were under way at once, at most."""
        return self._gateway.most_at_once

    @property
    def on_call(self) -> Callable[[RecordedCall], None] | None:
        """Called with each HTTP request once its answer is known."""
        return self._gateway.on_call

    @on_call.setter
    def on_call(self, listener: Callable[[RecordedCall], None] | None) -> None:
        self._gateway.on_call = listener

    def chat(self, dialog_id: str | int) -> Chat:
        """A dialog, by the id under which the webhook's owner knows it (``1:101`` for one of two others).

        :raises LookupError: there is none.
        """
        with self.company.lock:
            for chat in self.company.chats.by_id.values():
                if str(dialog_id) in {chat.dialog_id(self.access.user_id), f"chat{chat.id}"}:
                    return chat
            if str(dialog_id).isdigit() and int(dialog_id) in self.company.users:
                return self.company.chats.private(self.access.user_id, int(dialog_id))
        raise LookupError(f"the portal has no dialog {dialog_id!r}")

    def messages(self, dialog_id: str | int) -> list[Message]:
        """The messages of a dialog, oldest first, deleted ones included."""
        chat = self.chat(dialog_id)
        with self.company.lock:
            return list(chat.messages)

    def signals(self, dialog_id: str | int) -> list[TypingSignal]:
        """The writing signals that were accepted in a dialog."""
        chat = self.chat(dialog_id)
        with self.company.lock:
            return list(chat.signals)

    def lit_share(self, dialog_id: str | int, start: float, end: float) -> float:
        """The share (0 to 1) of ``[start, end]``, in epoch seconds, in which a client of the dialog would
        show that somebody writes."""
        chat = self.chat(dialog_id)
        with self.company.lock:
            return chat.lit_share(start, end)

    @property
    def notifications(self) -> list[Notification]:
        """The notifications that were sent and not deleted."""
        with self.company.lock:
            return list(self.company.notifications)

    @property
    def costs(self) -> dict[str, float]:
        """Seconds that a call of a method takes from its operating budget, by method name; without an entry,
        the time it really took."""
        return self._dispatcher.costs

    def clear(self) -> None:
        """Forget calls, messages, files, signals, notifications, faults and what was used of the limits; users,
        chats, deals and tokens stay."""
        with self.company.lock:
            for chat in self.company.chats.by_id.values():
                chat.messages.clear()
                chat.signals.clear()
                chat.history.clear()
                chat.read.clear()
            self.company.notifications.clear()
            self.company.files.clear()
            self._gateway.calls.clear()
            self._gateway.most_at_once = 0
            self.company.publish({"type": "reset"})
        self.faults.clear()
        self.operating.clear()
        if self.bucket is not None:
            self.bucket.clear()

    # ---- more company

    def add_user(
        self, name: str, last_name: str = "", email: str = "", *, active: bool = True, admin: bool = False
    ) -> int:
        """Hire somebody; returns the user's id."""
        with self.company.lock:
            user_id = max(one.id for one in self.company.users.values() if not one.bot) + 1
            while user_id in self.company.users:
                user_id += 1
            self.company.add_user(User(user_id, name, last_name, email, active=active, admin=admin))
            return user_id

    def add_chat(self, title: str, members: Iterable[int] = (1,), *, entity_type: str = "", entity_id: str = "") -> str:
        """Open a group chat; returns its dialog id."""
        with self.company.lock:
            people = set(members)
            chat = Chat(
                self.company.chats.next_chat_id(),
                title,
                people,
                min(people),
                entity_type=entity_type,
                entity_id=entity_id,
                created=self.company.now_text(),
            )
            self.company.chats.add(chat)
            self.company.publish({"type": "reset"})
            return chat.dialog_id(self.access.user_id)

    def add_message(self, dialog_id: str | int, author_id: int, text: str) -> int:
        """Let somebody write a message; returns its id."""
        chat = self.chat(dialog_id)
        with self.company.lock:
            return self.company.post(chat, author_id, text).id

    def add_field(
        self,
        name: str,
        kind: str,
        *,
        entity_type: int = 2,
        title: str = "",
        multiple: bool = False,
        required: bool = False,
        items: Mapping[int, str] | None = None,
    ) -> str:
        """Make a user field, such as ``UF_CRM_SCORE``; returns its name in rows of ``crm.item.*``.

        :param kind: its type: ``string``, ``integer``, ``double``, ``boolean``, ``date``, ``datetime``, ``money``,
            ``enumeration``, ``employee``, ``url``, ``crm``, ``file`` …
        :param entity_type: whose field it is; deals' by default.
        :param items: of an enumeration: titles by id.
        """
        with self.company.lock:
            made = UserField(name, kind, title, multiple, required, dict(items or {}))
            return add_user_field(self.company.crm.tables[entity_type], made)

    def add_deals(self, count: int) -> None:
        """Bring in deals: several stages, different amounts, created over the last eight weeks."""
        with self.company.lock:
            rows = self.company.crm.tables[2].rows
            rows.seed(count, deals(self.company.crm, count, self.company.now()))

    def churn(self, rate: float = 100.0, seed: int = 0) -> Churn:
        """Deals that are created, changed and deleted meanwhile, for a ``with`` block; it tells which stayed.

        :param rate: changes per second.
        :param seed: of the choice of deals.
        """
        return Churn(self.company, rate, seed)
