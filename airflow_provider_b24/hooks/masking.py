"""Keeping secrets out of Airflow's logs, those included that come up only while a task runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.hooks.loop import asked_by, running_loop
from airflow_provider_b24.rest.credentials import forms

if TYPE_CHECKING:
    from airflow_provider_b24.rest.credentials import Tokens, TokenStore


# Tasks that tell the supervisor; an event loop forgets what nobody holds.
_telling: set[asyncio.Task[None]] = set()

# The supervisor answers at once; where it does not, what the secret is for must not wait.
_TOLD_SECONDS = 5.0


def mask(secrets: Iterable[str], *, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Have every form of these secrets masked, in the logs of this process and of the one that supervises it.

    Where an event loop runs in this thread, it goes on meanwhile.

    :param loop: where this thread works for an event loop, that one.
    """
    from airflow.sdk.log import mask_secret

    found = _forms(secrets)
    if not found:
        return
    running = running_loop()
    if running is None:
        with suppress(FutureTimeoutError):
            asked_by(loop, _TOLD_SECONDS, mask_secret, found)
    else:
        task = running.create_task(_tell(found))
        _telling.add(task)
        task.add_done_callback(_telling.discard)


def masked(text: str) -> str:
    """The text as Airflow would write it into a log: without the secrets that it knows of by now."""
    from airflow.sdk import log

    # Not in every version.
    redact = getattr(log, "redact", None)
    return str(redact(text)) if redact is not None else text


async def amask(secrets: Iterable[str]) -> None:
    """Like :func:`mask`, done when it returns."""
    found = _forms(secrets)
    if found:
        await _tell(found)


async def _tell(found: list[Any]) -> None:
    # A triggerer talks to its supervisor in its event loop. Airflow's function finds the way there from a thread of
    # asgiref. From any other, on Airflow 3.2, it takes answers that are meant for others, and the triggerer dies.
    from airflow.sdk.log import mask_secret
    from asgiref.sync import sync_to_async

    await sync_to_async(mask_secret, thread_sensitive=False)(found)


def _forms(secrets: Iterable[str]) -> list[Any]:
    return sorted({form for secret in secrets for form in forms(secret)})


class MaskingTokenStore:
    """Passes tokens on to and from another store, and has each masked before anybody uses it.

    Made in an event loop, it is used from there and from threads that work for it.

    :param store: where they are kept.
    :param masked: secrets that are masked already.
    """

    def __init__(self, store: TokenStore, masked: Iterable[str] = ()) -> None:
        self._store = store
        self._masked = set(masked)
        self._loop = running_loop()

    def load(self) -> Tokens:
        """The newest tokens."""
        return self._seen(self._store.load())

    def save(self, tokens: Tokens) -> None:
        """Keep renewed tokens."""
        self._store.save(self._seen(tokens))

    def _seen(self, tokens: Tokens) -> Tokens:
        new = set(tokens.secrets) - self._masked
        if new:
            mask(new, loop=self._loop)
            self._masked |= new
        return tokens
