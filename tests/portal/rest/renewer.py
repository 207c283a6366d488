"""A process that calls with an application's tokens, which it shares with others through a file.

``python -m tests.portal.rest.renewer`` is told what to do in one line of JSON: where the portal is, which application
it is, the files. It prints ``ready``, waits for a line, makes one call, and prints what came of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.clock import SystemClock
from airflow_provider_b24.rest.credentials import OAuthApp, Tokens
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.lock import HostLock
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Priority
from airflow_provider_b24.rest.transport import Transport


class Hurried(SystemClock):
    """Its pauses are a tenth as long."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / 10)

    async def asleep(self, seconds: float) -> None:
        await super().asleep(seconds / 10)


class FileStore:
    """Tokens in a file.

    :param stops: how far it comes with saving: ``never`` saves, ``before`` prints ``received`` and then waits to be
        killed, ``slow`` takes its time; ``hurried`` saves, and has no patience with others.
    """

    def __init__(self, path: Path, stops: str = "never") -> None:
        self._path = path
        self._stops = stops

    def load(self) -> Tokens:
        return Tokens(*json.loads(self._path.read_text()))

    def save(self, tokens: Tokens) -> None:
        if self._stops == "before":
            say("received")
            time.sleep(60)
        if self._stops == "slow":
            time.sleep(0.3)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(tokens.secrets))
        new.replace(self._path)


async def _aprofile(peer: Peer) -> Any:
    from airflow_provider_b24.rest.aio import AsyncClient

    async with AsyncClient(peer, Transport(verify=False)) as client:
        return (await client.call(Call("profile"))).result


async def _hasty(peer: Peer) -> Any:
    """Gives up while the tokens are renewed, and leaves the client as it is."""
    from airflow_provider_b24.rest.aio import AsyncClient

    client = AsyncClient(peer, Transport(verify=False))
    return (await client.call(Call("profile", priority=Priority.TYPING), patience=Patience(answer=0.1))).result


def _profile(peer: Peer) -> Any:
    from airflow_provider_b24.rest.client import Client

    with Client(peer, Transport(verify=False)) as client:
        return client.call(Call("profile")).result


def main() -> None:
    told = json.loads(sys.stdin.readline())
    app = OAuthApp(Address.of_url(told["url"]), told["client_id"], told["client_secret"], told["oauth_url"])
    peer = Peer(
        app,
        tokens=FileStore(Path(told["store"]), told["stops"]),
        lock=HostLock(app.client_id, told["locks"]),
        clock=Hurried() if told["stops"] == "hurried" else None,
        authorise="airflow bitrix24 authorize crm",
    )
    say("ready")
    sys.stdin.readline()
    try:
        ask = {"async": _aprofile, "hasty": _hasty}.get(told["driver"])
        profile = asyncio.run(ask(peer)) if ask is not None else _profile(peer)
        say(profile["ID"])
    except Bitrix24Error as error:
        say(str(error))


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
