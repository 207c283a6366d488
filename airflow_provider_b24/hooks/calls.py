"""Authenticated REST calls with an Airflow connection: what every part of the hook stands on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_provider_b24.chat.typing import Bot
    from airflow_provider_b24.hooks.settings import Settings
    from airflow_provider_b24.rest.aio import AsyncClient
    from airflow_provider_b24.rest.batch import BatchReply
    from airflow_provider_b24.rest.client import Client
    from airflow_provider_b24.rest.clock import Clock
    from airflow_provider_b24.rest.credentials import TokenStore
    from airflow_provider_b24.rest.ledger import Ledger
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.protocol import Call

    Params = Mapping[str, Any] | Sequence[Any]

# A Test button answers within 10 s: two calls, each with time to connect and to answer.
_TEST_SECONDS = 9.0


class RestCalls(BaseHook):
    """Reads the connection, keeps the clients, makes calls.

    See :class:`~airflow_provider_b24.hooks.bitrix24.Bitrix24Hook`, which has the other parts as well.
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
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

    async def aread(self) -> None:
        """Read the connection now, and not when it is first needed.

        :raises ConfigurationError: if there is none of that name, or a field of it can not be right.
        """
        await self._asettings()

    @property
    def portal(self) -> str:
        """The portal's address, such as ``https://example.bitrix24.com``; nothing secret."""
        return str(self._sync_settings().credential.address)

    def speaker(self, as_bot: bool | None = None) -> Bot | None:
        """The bot to speak as; None for the account behind the connection.

        :param as_bot: True for the connection's bot, False for the account. Default: the bot where there is one.
        :raises ConfigurationError: for True where the connection has no bot.
        """
        from airflow_provider_b24.rest.errors import ConfigurationError

        bot = None if as_bot is False else self._sync_settings().bot
        if as_bot and bot is None:
            raise ConfigurationError(
                f"as_bot is set, and the connection {self.bitrix24_conn_id!r} has no bot",
                advice=f"Register one: airflow bitrix24 bot register {self.bitrix24_conn_id} --name … "
                "Or leave as_bot out.",
            )
        return bot

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
