"""The synchronous and the asynchronous client behind one face, so that one table of cases serves both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.aio import AsyncClient
from airflow_provider_b24.rest.batch import BatchReply
from airflow_provider_b24.rest.client import Client
from airflow_provider_b24.rest.credentials import MemoryTokenStore, OAuthApp, Tokens, Webhook
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, Reply
from airflow_provider_b24.rest.reading import reading
from airflow_provider_b24.rest.steps import Step
from airflow_provider_b24.rest.transport import Transport
from airflow_provider_b24.rest.writing import Writing
from tests.unit.rest.clocks import FakeClock

# No outside proxy and no long wait, whatever the machine is set to.
QUICK = Transport(connect_timeout=5.0, read_timeout=5.0, verify=False)


class SyncDriver:
    """One :class:`Client` for the length of a test."""

    name = "sync"

    def __init__(self, peer: Peer, settings: Transport = QUICK) -> None:
        self.client = Client(peer, settings)

    def __enter__(self) -> SyncDriver:
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.close()

    def call(self, call: Call, **options: Any) -> Reply:
        return self.client.call(call, **options)

    def batch(self, calls: Mapping[Hashable, Call] | Sequence[Call], **options: Any) -> BatchReply[Any]:
        return self.client.batch(calls, **options)

    def run(self, conversation: Callable[[Peer], Generator[Step, Any, Any]]) -> Any:
        return self.client.run(conversation)

    def rows(self, method: str, params: Mapping[str, Any] | None = None, **options: Any) -> list[Any]:
        return [row for page in self.client.stream(reading(method, params or {}, **options)) for row in page.rows]

    def stream(self, work: Writing, rows: Any) -> list[Any]:
        found: list[Any] = []
        self.each(work, rows, found.append)
        return found

    def each(self, work: Writing, rows: Any, take: Callable[[Any], object]) -> None:
        """Give out what becomes of each row; also before it ends in an error."""
        for one in self.client.stream(work, work.source(rows)):
            take(one)

    def together(self, call: Call, times: int) -> list[Reply]:
        """The same call so many times at once."""
        with ThreadPoolExecutor(times) as pool:
            return [future.result() for future in [pool.submit(self.client.call, call) for _ in range(times)]]

    def attempts(self, call: Call, times: int) -> list[Any]:
        """The same call so many times at once; what went wrong with each."""
        with ThreadPoolExecutor(times) as pool:
            return [future.exception() for future in [pool.submit(self.client.call, call) for _ in range(times)]]


class AsyncDriver:
    """One :class:`AsyncClient`, in an event loop of its own, for the length of a test."""

    name = "async"

    def __init__(self, peer: Peer, settings: Transport = QUICK) -> None:
        self._loop = asyncio.new_event_loop()
        try:
            self.client = self._loop.run_until_complete(self._made(peer, settings))
        except BaseException:
            self._loop.close()
            raise

    @staticmethod
    async def _made(peer: Peer, settings: Transport) -> AsyncClient:
        return AsyncClient(peer, settings)

    def __enter__(self) -> AsyncDriver:
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.run_until_complete(self.client.aclose())
        # as asyncio.run() ends
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def call(self, call: Call, **options: Any) -> Reply:
        return self._loop.run_until_complete(self.client.call(call, **options))

    def batch(self, calls: Mapping[Hashable, Call] | Sequence[Call], **options: Any) -> BatchReply[Any]:
        return self._loop.run_until_complete(self.client.batch(calls, **options))

    def run(self, conversation: Callable[[Peer], Generator[Step, Any, Any]]) -> Any:
        return self._loop.run_until_complete(self.client.run(conversation))

    def rows(self, method: str, params: Mapping[str, Any] | None = None, **options: Any) -> list[Any]:
        async def read() -> list[Any]:
            work = reading(method, params or {}, **options)
            return [row async for page in self.client.stream(work) for row in page.rows]

        return self._loop.run_until_complete(read())

    def stream(self, work: Writing, rows: Any) -> list[Any]:
        found: list[Any] = []
        self.each(work, rows, found.append)
        return found

    def each(self, work: Writing, rows: Any, take: Callable[[Any], object]) -> None:
        """Give out what becomes of each row; also before it ends in an error."""

        async def read() -> None:
            async for one in self.client.stream(work, work.asource(rows)):
                take(one)

        self._loop.run_until_complete(read())

    def together(self, call: Call, times: int) -> list[Reply]:
        """The same call so many times at once."""

        async def all_of_them() -> list[Reply]:
            return list(await asyncio.gather(*(self.client.call(call) for _ in range(times))))

        return self._loop.run_until_complete(all_of_them())

    def attempts(self, call: Call, times: int) -> list[Any]:
        """The same call so many times at once; what went wrong with each."""

        async def all_of_them() -> list[Any]:
            return list(await asyncio.gather(*(self.client.call(call) for _ in range(times)), return_exceptions=True))

        return self._loop.run_until_complete(all_of_them())


Driver = SyncDriver | AsyncDriver
MakeDriver = Callable[..., Driver]

CODE = "s3cr3t.w3bh00k~c0de"
OLD = Tokens("acc+ess/0ld==tok en", "re%fresh/0ld&tok")
NEW = Tokens("acc+ess/n3w==tok en", "re%fresh/n3w&tok")
CLIENT_SECRET = "cli/ent+s3cret & more"
SECRETS = (CODE, *OLD.secrets, *NEW.secrets, CLIENT_SECRET)


def webhook_peer(url: str, **options: Any) -> Peer:
    """The peer of a webhook, on a clock set by hand and with jitter in the middle of its range."""
    options = {"clock": FakeClock(), "jitter": lambda: 0.5, **options}
    return Peer(Webhook(Address.of_url(url), "7", CODE), **options)


def app_peer(url: str, oauth_url: str | None = None, **options: Any) -> Peer:
    """The peer of an application whose token is :data:`OLD`."""
    options = {"clock": FakeClock(), "jitter": lambda: 0.5, "tokens": MemoryTokenStore(OLD), **options}
    app = OAuthApp(Address.of_url(url), "local.app", CLIENT_SECRET, oauth_url or f"{url}/oauth/token/")
    return Peer(app, **options)
