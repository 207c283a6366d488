"""Keeping secrets out of Airflow's logs, those included that come up only while a task runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.rest.credentials import forms

if TYPE_CHECKING:
    from airflow_provider_b24.rest.credentials import Tokens, TokenStore


def mask(secrets: Iterable[str]) -> None:
    """Have every form of these secrets masked, in the logs of this process and of the one that supervises it.

    Where an event loop runs in this thread, another thread does it: the supervisor may not be waited for here.
    """
    from airflow.sdk.log import mask_secret

    found: list[Any] = sorted({form for secret in secrets for form in forms(secret)})
    if not found:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        mask_secret(found)
    else:
        loop.run_in_executor(None, partial(mask_secret, found))


class MaskingTokenStore:
    """Passes tokens on to and from another store, and has each masked before anybody uses it.

    :param store: where they are kept.
    :param masked: secrets that are masked already.
    """

    def __init__(self, store: TokenStore, masked: Iterable[str] = ()) -> None:
        self._store = store
        self._masked = set(masked)

    def load(self) -> Tokens:
        """The newest tokens."""
        return self._seen(self._store.load())

    def save(self, tokens: Tokens) -> None:
        """Keep renewed tokens."""
        self._store.save(self._seen(tokens))

    def _seen(self, tokens: Tokens) -> Tokens:
        new = set(tokens.secrets) - self._masked
        if new:
            mask(new)
            self._masked |= new
        return tokens
