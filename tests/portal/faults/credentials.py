"""Every kind of secret in an Airflow connection, of letters that URLs, JSON and base64 write in ways of their own.

A further kind is a further entry of :data:`CREDENTIALS`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from airflow_provider_b24.testing import FakePortal
from tests.portal.faults.cases import Ground
from tests.portal.rest.leaks import forms

PROXY_PASSWORD = "pr0xy/pa&ss w0rd+"
LIMITER_PASSWORD = "l1miter/pa&ss w0rd+"


def give_secrets(portal: FakePortal) -> None:
    """Give the portal such secrets, and have it give out such tokens."""
    access, number = portal.access, itertools.count()
    access.webhook_code = "s3cr3t.w3bh00k~c0de"
    access.client_secret = "cli/ent+s3cret & more"

    def issue() -> tuple[str, str]:
        access_token, refresh_token = f"acc+ess/{next(number)}==tok en", f"re%fresh/{next(number)}&tok"
        access._access[access_token] = access._refresh[refresh_token] = portal.company.clock() + 3600
        return access_token, refresh_token

    access.issue = issue  # type: ignore[method-assign]


def secrets_of(portal: FakePortal, credential: str) -> set[str]:
    """What a connection holds that must not be shown, and what has taken its place by now."""
    access = portal.access
    if credential.startswith("application"):
        return {access.client_secret, *access._access, *access._refresh}
    more = {"bot": portal.bot_token, "proxy": PROXY_PASSWORD, "limiter": LIMITER_PASSWORD}
    return {access.webhook_code, more.get(credential, access.webhook_code)}


def _webhook_url(portal: FakePortal, proxy: str) -> dict[str, Any]:
    return {"conn_type": "bitrix24", "password": portal.webhook_url, "extra": {"plan": "unlimited"}}


def _expired(portal: FakePortal, proxy: str) -> dict[str, Any]:
    connection = portal.oauth_connection()
    portal.expire_tokens()
    return connection


def _proxied(portal: FakePortal, proxy: str) -> dict[str, Any]:
    connection = portal.connection()
    connection["extra"]["proxy"] = proxy.replace("//", f"//user:{quote(PROXY_PASSWORD, safe='')}@")
    return connection


def _limited(portal: FakePortal, proxy: str) -> dict[str, Any]:
    """By a Redis server that is not there."""
    connection = portal.connection()
    connection["extra"]["limiter_url"] = f"redis://user:{quote(LIMITER_PASSWORD, safe='')}@127.0.0.1:1/0"
    return connection


CREDENTIALS: dict[str, Callable[[FakePortal, str], dict[str, Any]]] = {
    "webhook": lambda portal, proxy: portal.connection(),
    "webhook URL": _webhook_url,
    "application": lambda portal, proxy: portal.oauth_connection(),
    "application to be renewed": _expired,
    "bot": lambda portal, proxy: portal.bot_connection(),
    "proxy": _proxied,
    "limiter": _limited,
}


def told(secrets: set[str]) -> str:
    """The secrets, in every form."""
    return " ".join(form for secret in sorted(secrets) for form in sorted(forms(secret)))


class Connected:
    """An Airflow connection with one kind of credential, which leads to where a fault is to be met.

    :param define: takes the connection as JSON.
    :ivar secrets: all that it has ever held.
    """

    def __init__(self, credential: str, portal: FakePortal, proxy: str, define: Callable[[str], None]) -> None:
        self.secrets: set[str] = set()
        self._credential = credential
        self._portal = portal
        self._proxy = proxy
        self._define = define

    def anew(self, ground: Ground | None = None) -> None:
        """With tokens of its own, for those of an application can be renewed once."""
        portal = self._portal
        portal.access._access.clear()
        portal.access._refresh.clear()
        connection = CREDENTIALS[self._credential](portal, self._proxy)
        if ground is not None:
            connection = _leading_to(ground, portal, connection)
        self._define(json.dumps(connection))
        self.repeat_secrets()
        portal.on_call = self.repeat_secrets

    def repeat_secrets(self, _: object = None) -> None:
        """Have the portal, or who plays it, say in its refusals all that it was told, in every form."""
        secrets = secrets_of(self._portal, self._credential)
        self.secrets |= secrets
        for fault in self._portal.faults._faults:
            fault.description = told(secrets)


def _leading_to(ground: Ground, portal: FakePortal, connection: dict[str, Any]) -> dict[str, Any]:
    """The connection as it has to be where a fault is to be met."""
    parts = urlsplit(ground.url)
    extra = {**connection["extra"], "timeout": ground.settings.read_timeout, "verify": ground.settings.verify}
    if "host" in connection:
        connection = {**connection, "host": parts.hostname, "port": parts.port, "schema": parts.scheme}
    else:
        connection = {**connection, "password": connection["password"].replace(portal.url, ground.url)}
    return {**connection, "extra": extra}
