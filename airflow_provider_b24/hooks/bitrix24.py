"""Bitrix24Hook: authenticated REST calls with an Airflow connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from airflow_provider_b24.chat.board import SignalBoard
    from airflow_provider_b24.chat.delivery import Memory
    from airflow_provider_b24.chat.message import Blocks
    from airflow_provider_b24.chat.typing import TypingIndicator
    from airflow_provider_b24.hooks.settings import Settings
    from airflow_provider_b24.rest.aio import AsyncClient
    from airflow_provider_b24.rest.batch import BatchReply
    from airflow_provider_b24.rest.client import Client
    from airflow_provider_b24.rest.clock import Clock
    from airflow_provider_b24.rest.credentials import TokenStore
    from airflow_provider_b24.rest.ledger import Ledger
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.protocol import Call
    from airflow_provider_b24.rest.steps import Step

    Params = Mapping[str, Any] | Sequence[Any]

# A Test button answers within 10 s: two calls, each with time to connect and to answer.
_TEST_SECONDS = 9.0


class Bitrix24Hook(BaseHook):
    """Calls the REST of a Bitrix24 portal: webhook or OAuth application, synchronous or asynchronous.

    A hook keeps its connections and may be shared by threads. Use it as a context manager, or :meth:`close`
    it; a task's connections end with its process in any case.

    Calls wait for the portal's request limit instead of running into it, are repeated where nothing can have
    happened or the method only reads, and otherwise end in a :class:`~.rest.errors.Bitrix24Error` whose
    message says what to do, and never contains a secret.

    :param bitrix24_conn_id: the :ref:`Bitrix24 connection <howto/connection:bitrix24>` to use.
    :param token_store: where an application's renewed tokens are kept. Default: in an Airflow Variable named after
        the connection, beginning with those of the connection.
    :param clock: what waits and tells the time; for tests.
    """

    conn_name_attr = "bitrix24_conn_id"
    default_conn_name = "bitrix24_default"
    conn_type = "bitrix24"
    hook_name = "Bitrix24"

    def __init__(
        self,
        bitrix24_conn_id: str = default_conn_name,
        *,
        token_store: TokenStore | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self.bitrix24_conn_id = bitrix24_conn_id
        self._token_store = token_store
        self._clock = clock
        # Got twice by the same thread: on_kill is called in a signal handler.
        self._lock = threading.RLock()
        self._settings: Settings | None = None
        self._peer: Peer | None = None
        self._client: Client | None = None
        self._async_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = WeakKeyDictionary()

    def __enter__(self) -> Bitrix24Hook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Bitrix24Hook:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close the connections of synchronous calls. The hook may be used again."""
        if self._client is not None:
            self._client.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop's calls, and the synchronous ones."""
        with self._lock:
            client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
        self.close()

    def get_conn(self) -> Client:
        """The client of synchronous calls, for whole replies (``total``, ``next``, operating time)."""
        if self._client is None:
            settings = self._sync_settings()
            with self._lock:
                if self._client is None:
                    from airflow_provider_b24.rest.client import Client

                    client = Client(self._peer_of(settings), settings.transport)
                    # Here rather than where the first call is made: that may be a thread beside the task's own.
                    _load_tokens(client)
                    self._client = client
        return self._client

    async def aget_conn(self) -> AsyncClient:
        """The client of asynchronous calls in the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._async_clients:
            settings = await self._asettings()
            if loop not in self._async_clients:
                client = self._new_async_client(settings)
                with self._lock:
                    # A client holds on to its event loop; those of loops that are over would pile up.
                    for over in [other for other in self._async_clients if other.is_closed()]:
                        del self._async_clients[over]
                    self._async_clients[loop] = client
        return self._async_clients[loop]

    def call(self, method: str, params: Params | None = None, *, version: Literal[2, 3] = 2) -> Any:
        """Call a REST method.

        :param method: its name, such as ``crm.item.get``.
        :param params: its parameters, by name; a list for the methods that take them by position.
        :param version: 3 for a method of REST 3.0.
        :return: the ``result`` of the reply.
        :raises Bitrix24Error: if the portal refuses or can not be reached.
        """
        return self.get_conn().call(_call(method, params, version)).result

    async def acall(self, method: str, params: Params | None = None, *, version: Literal[2, 3] = 2) -> Any:
        """Like :meth:`call`."""
        client = await self.aget_conn()
        return (await client.call(_call(method, params, version))).result

    def batch(
        self,
        calls: Mapping[str, tuple[str, Params]] | Sequence[tuple[str, Params]],
        *,
        halt: bool | None = None,
    ) -> BatchReply[Any]:
        """Make any number of calls, 50 to a request.

        A text that contains ``$result[key]`` takes what an earlier call of the same 50 returned.

        :param calls: method and parameters by key; a sequence is numbered from 0.
        :param halt: stop at the first failure; by default only where calls refer to others.
        :return: the results and the errors by key; ``unwrap()`` raises the first error.
        :raises Bitrix24Error: if nothing could be carried out at all.
        """
        return self.get_conn().batch(_calls(calls), halt=halt)

    async def abatch(
        self,
        calls: Mapping[str, tuple[str, Params]] | Sequence[tuple[str, Params]],
        *,
        halt: bool | None = None,
    ) -> BatchReply[Any]:
        """Like :meth:`batch`."""
        client = await self.aget_conn()
        return await client.batch(_calls(calls), halt=halt)

    def iterate(
        self, method: str, params: Mapping[str, Any] | None = None, *, version: Literal[2, 3] = 2
    ) -> Iterator[Any]:
        """Every row of a list method once, in the order of ids, page by page as they are needed.

        :param method: a list method, such as ``crm.item.list``.
        :param params: its filter, select and other parameters; not ``start``.
        :raises Bitrix24Error: also where the list can not be read completely; it is never just shorter.
        """
        return self.get_conn().iterate(method, params, version=version)

    async def aiterate(
        self, method: str, params: Mapping[str, Any] | None = None, *, version: Literal[2, 3] = 2
    ) -> AsyncIterator[Any]:
        """Like :meth:`iterate`."""
        client = await self.aget_conn()
        async for row in client.iterate(method, params, version=version):
            yield row

    def excerpt(self, source: str | BaseException, *, most: int = 3000) -> str:
        """What a log or an exception says, fit for a message: nothing in it is read as BBCode.

        Neither this connection's secrets are in it nor what Airflow masks in its logs. What is too long loses its
        beginning. See :mod:`~airflow_provider_b24.chat.text` for what is certain of that.

        :param source: a text; or an exception, which is shown with its traceback and its causes.
        :param most: the most characters of the excerpt. Default 3,000.
        """
        from airflow_provider_b24.chat.text import excerpt, plain
        from airflow_provider_b24.hooks.masking import masked

        return excerpt(masked(plain(source)), secrets=self._sync_settings().secrets, most=most)

    def send_message(
        self,
        dialog_id: str | int,
        message: str | None = None,
        *,
        attach: Blocks | None = None,
        keyboard: Blocks | None = None,
        menu: Blocks | None = None,
        system: bool = False,
        url_preview: bool = True,
        reply_id: int | str | None = None,
        as_bot: bool = False,
        once: str | None = None,
    ) -> int:
        """Post a message with ``im.message.add``, or as the connection's bot with ``imbot.v2.Chat.Message.send``.

        Where the answer is lost, the dialog is read to see whether the message is there: that takes up to 90 s, and
        the message is sent again only if the first one can not come any more.

        Inside a task, give each message a name with ``once``: then it is posted once even if the task is killed and
        tried again. A cleared task posts anew.

        :param dialog_id: where: ``chat2935``, ``sg17``, ``13``, ``deal:1663``, ``user:anna@example.com`` …
        :param message: the text, with BBCode.
        :param attach: blocks to attach, as Python objects.
        :param keyboard: buttons under the message.
        :param menu: items for its context menu; not as a bot.
        :param system: show it without an author. Default False.
        :param url_preview: turn links into previews. Default True.
        :param reply_id: the id of the message that this one answers.
        :param as_bot: post as the connection's bot. Default False: as the account behind the connection.
        :param once: the message's name within the task, such as ``"summary"``.
        :return: the id of the message.
        :raises DeliveryUnknownError: if it may or may not have been posted.
        :raises Bitrix24Error: if it was not posted.
        """
        return self.get_conn().run(
            self._post(
                once,
                as_bot,
                dialog_id=dialog_id,
                message=message,
                attach=attach,
                keyboard=keyboard,
                menu=menu,
                system=system,
                url_preview=url_preview,
                reply_id=reply_id,
            )
        )

    async def asend_message(
        self,
        dialog_id: str | int,
        message: str | None = None,
        *,
        as_bot: bool = False,
        once: str | None = None,
        **parameters: Any,
    ) -> int:
        """Like :meth:`send_message`, with the same parameters."""
        client = await self.aget_conn()
        return await client.run(self._post(once, as_bot, dialog_id=dialog_id, message=message, **parameters))

    def post_once(self, memory: Memory, dialog_id: str | int, *, as_bot: bool = False, **parameters: Any) -> int:
        """Like :meth:`send_message`, with what is kept of the message given; for operators."""
        return self.get_conn().run(self._post(memory, as_bot, dialog_id=dialog_id, **parameters))

    def recall(self, memory: Memory) -> int | None:
        """The id of a message that an earlier try has posted, or None; for operators.

        :raises DeliveryUnknownError: if it may or may not have been posted.
        """
        from functools import partial

        from airflow_provider_b24.chat.delivery import recall

        return self.get_conn().run(partial(recall, memory=memory))

    def _post(
        self, memory: Memory | str | None, as_bot: bool, **parameters: Any
    ) -> Callable[[Peer], Generator[Step, Any, int]]:
        from functools import partial

        from airflow_provider_b24.chat.message import post
        from airflow_provider_b24.hooks.delivery import memory_here
        from airflow_provider_b24.rest.errors import ConfigurationError

        bot = self._sync_settings().bot if as_bot else None
        if as_bot and bot is None:
            raise ConfigurationError(
                f"as_bot is set, and the connection {self.bitrix24_conn_id!r} has no bot",
                advice="Give bot_id and bot_token in the connection.",
            )
        kept = memory_here(memory) if isinstance(memory, str) else memory
        return partial(post, memory=kept, bot=bot, **parameters)

    def dialog_id(self, dialog_id: str | int) -> str:
        """The id of a dialog that may be named by what it belongs to (``deal:1663``).

        :raises NotFoundError: if it has none.
        """
        from functools import partial

        from airflow_provider_b24.chat.dialogs import check_dialog_id, is_reference, resolve

        checked = check_dialog_id(dialog_id)
        return self.get_conn().run(partial(resolve, dialog_id=checked)) if is_reference(checked) else checked

    async def adialog_id(self, dialog_id: str | int) -> str:
        """Like :meth:`dialog_id`."""
        from functools import partial

        from airflow_provider_b24.chat.dialogs import check_dialog_id, is_reference, resolve

        checked = check_dialog_id(dialog_id)
        if not is_reference(checked):
            return checked
        client = await self.aget_conn()
        return await client.run(partial(resolve, dialog_id=checked))

    def typing(
        self, dialog_id: str | int, *, interval: float | None = None, status: str | None = None
    ) -> TypingIndicator:
        """Keep "is typing…" lit for as long as a ``with`` (or ``async with``) block works.

        Never fails or delays the work: a signal that does not go through is told in the log, once.

        :param dialog_id: where; may be a reference such as ``deal:1663``.
        :param interval: seconds between signals. Default 12.
        :param status: what the connection's bot is shown to do (``PROCESSING``, ``CALCULATING`` …); without it,
            the account behind the connection is typing.
        :raises ConfigurationError: for a ``dialog_id``, ``interval`` or ``status`` that can not be.
        """
        from functools import partial

        from airflow_provider_b24.chat.dialogs import check_dialog_id, resolve
        from airflow_provider_b24.chat.signals import INTERVAL, check_status
        from airflow_provider_b24.chat.typing import SIGNAL_PATIENCE, TypingIndicator
        from airflow_provider_b24.rest.protocol import Priority

        checked = check_dialog_id(dialog_id)
        if status is not None:
            check_status(status)
        find = partial(resolve, dialog_id=checked, patience=SIGNAL_PATIENCE, priority=Priority.TYPING)
        found: list[str] = []

        def send() -> None:
            client = self.get_conn()
            found[:] = found or [client.run(find)]
            if not indicator.over:
                client.call(self.signal(found[0], status=status), patience=SIGNAL_PATIENCE)

        async def asend() -> None:
            client = await self.aget_conn()
            found[:] = found or [await client.run(find)]
            if not indicator.over:
                await client.call(self.signal(found[0], status=status), patience=SIGNAL_PATIENCE)

        indicator = TypingIndicator(
            send,
            asend,
            # Airflow answers a question for the connection to whoever waits; in dag.test() that need not be who asked.
            prepare=self.get_conn,
            dialog_id=checked,
            interval=INTERVAL if interval is None else interval,
            clock=self._clock,
        )
        return indicator

    def send_typing(self, dialog_id: str | int, *, status: str | None = None, duration: float | None = None) -> None:
        """Send one typing signal (``im.dialog.writing``, or ``imbot.v2.Chat.InputAction.notify`` with a status).

        :param dialog_id: where; may be a reference such as ``deal:1663``.
        :param status: what the connection's bot is shown to do.
        :param duration: seconds that a bot's indicator lasts, 1 to 600. Default 25.
        :raises Bitrix24Error: if the portal does not take it.
        """
        from dataclasses import replace

        from airflow_provider_b24.rest.protocol import Priority

        call = self.signal(self.dialog_id(dialog_id), status=status, duration=duration)
        self.get_conn().call(replace(call, priority=Priority.WORK))

    def signal(self, dialog_id: str, *, status: str | None = None, duration: float | None = None) -> Call:
        """One typing signal as a call, as the user or, with a status, as the connection's bot.

        :param dialog_id: where, as an id.
        :param duration: seconds a bot's indicator lasts. Default 25.
        :raises ConfigurationError: for a status without a bot in the connection.
        """
        from airflow_provider_b24.chat.signals import LASTS
        from airflow_provider_b24.chat.typing import signal
        from airflow_provider_b24.rest.errors import ConfigurationError

        settings = self._sync_settings()
        if status is not None and settings.bot is None:
            raise ConfigurationError(
                f"status is {status!r}, and the connection {self.bitrix24_conn_id!r} has no bot to show it",
                advice="Only a chat bot can show a status: give bot_id and bot_token in the connection, or leave "
                "status out.",
            )
        bot = settings.bot if status is not None else None
        return signal(dialog_id, bot=bot, status=status, duration=duration or LASTS)

    async def aread(self) -> None:
        """Read the connection now, and not when it is first needed.

        :raises ConfigurationError: if there is none of that name, or a field of it can not be right.
        """
        await self._asettings()

    async def signal_board(self) -> AbstractAsyncContextManager[SignalBoard]:
        """The typing signals of this event loop that go out together; for triggers."""
        from airflow_provider_b24.chat.board import shared_board

        settings = await self._asettings()
        return shared_board(
            (settings.credential, settings.tokens, settings.bot, settings.transport),
            lambda: self._new_async_client(settings),
        )

    def test_connection(self) -> tuple[bool, str]:
        """Say who the credential is and what it may do; for the Test button.

        Calls ``profile`` and ``scope``, answers within 10 s, raises nothing and shows no secret.

        :return: whether calls work, and a sentence.
        """
        from airflow_provider_b24.hooks.examine import examine

        try:
            client = self.get_conn()
        except Exception as error:
            return False, _sentence(error)
        outcome: list[tuple[bool, str]] = []
        bot = self._settings is not None and self._settings.bot is not None
        # A portal that sends a byte now and then defeats every time-out of a socket, but not this one.
        worker = threading.Thread(target=lambda: outcome.append(examine(client, bot=bot)), daemon=True)
        worker.start()
        worker.join(_TEST_SECONDS)
        return outcome[0] if outcome else (False, f"The portal did not answer within {_TEST_SECONDS:.0f} s.")

    def _sync_settings(self) -> Settings:
        """What the connection says; its secrets are masked from then on."""
        if self._settings is None:
            from airflow_provider_b24.hooks.connection import read_connection

            self._settings = read_connection(self, self.bitrix24_conn_id)
        return self._settings

    async def _asettings(self) -> Settings:
        if self._settings is None:
            from airflow_provider_b24.hooks.connection import aread_connection

            self._settings = await aread_connection(self, self.bitrix24_conn_id)
        return self._settings

    def _peer_of(self, settings: Settings) -> Peer:
        """What is known of the portal; one for all clients of this hook."""
        if self._peer is None:
            from airflow_provider_b24.hooks.metrics import AirflowMeter
            from airflow_provider_b24.hooks.token_store import keeping
            from airflow_provider_b24.rest.peer import Patience, Peer

            self._peer = Peer(
                settings.credential,
                **keeping(self.bitrix24_conn_id, settings, self._token_store),
                plan=settings.plan,
                operating_limit=settings.operating_limit,
                # A clock of one's own is not that of the host.
                ledger=_ledger(settings) if self._clock is None else None,
                patience=Patience(late=settings.late),
                clock=self._clock,
                secrets=tuple(settings.secrets),
                redirect_hosts=settings.redirect_hosts,
                meter=AirflowMeter(),
            )
        return self._peer

    def _new_async_client(self, settings: Settings) -> AsyncClient:
        from airflow_provider_b24.rest.aio import AsyncClient

        with self._lock:
            peer = self._peer_of(settings)
        return AsyncClient(peer, settings.transport)


def _load_tokens(client: Client) -> None:
    from airflow_provider_b24.rest.conversation import load_tokens

    if client.peer.tokens is not None and client.peer.current is None:
        client.peer.adopt(client.run(load_tokens))


def _ledger(settings: Settings) -> Ledger:
    from airflow_provider_b24.rest.ledger import host_ledger

    if settings.limiter_url is None:
        return host_ledger()
    from airflow_provider_b24.rest.redis_ledger import redis_ledger

    return redis_ledger(settings.limiter_url)


def _call(method: str, params: Params | None, version: Literal[2, 3] = 2) -> Call:
    from airflow_provider_b24.rest.protocol import Call

    return Call(method, {} if params is None else params, version)


def _calls(calls: Mapping[str, tuple[str, Params]] | Sequence[tuple[str, Params]]) -> Any:
    from airflow_provider_b24.rest.errors import ConfigurationError

    problem = "calls of a batch are pairs of method and parameters"
    items = calls.items() if isinstance(calls, Mapping) else enumerate(calls)
    made: dict[Any, Call] = {}
    for key, pair in items:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise ConfigurationError(
                f"{problem}, and {key!r} is {type(pair).__name__}", advice='Like {"me": ("profile", {})}.'
            )
        made[key] = _call(pair[0], pair[1])
    return made


def _sentence(error: Exception) -> str:
    from airflow_provider_b24.rest.errors import Bitrix24Error

    # The words of an error that is not ours may hold anything.
    return str(error) if isinstance(error, Bitrix24Error) else f"{type(error).__name__} while reading the connection"
