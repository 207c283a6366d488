"""Who may call: the incoming webhook, and an OAuth application with its tokens."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.registry import Caller

ACCESS_SECONDS = 3600
REFRESH_SECONDS = 180 * 86400
CODE_SECONDS = 30


class Access:
    """The keys of the portal.

    :param clock: seconds since the epoch.
    :param user_id: the owner of the webhook, who is also the user of the application's tokens.
    """

    def __init__(self, clock: Callable[[], float], user_id: int = 1) -> None:
        self._clock = clock
        self.user_id = user_id
        self.scopes: list[str] = ["crm", "disk", "im", "imbot", "task", "tasks", "user"]
        self.webhook_code = secrets.token_hex(8)
        self.client_id = f"local.{secrets.token_hex(7)}.{secrets.randbelow(90_000_000) + 10_000_000}"
        self.client_secret = secrets.token_hex(25)
        self.redirect_uri = ""
        """Where ``/oauth/authorize/`` leads with the code; without it, the page shows the code."""
        self.member_id = secrets.token_hex(16)
        self._access: dict[str, float] = {}
        self._refresh: dict[str, float] = {}
        self._codes: dict[str, float] = {}

    def _caller(self, kind: str, app: str) -> Caller:
        return Caller(self.user_id, kind, app, frozenset(self.scopes))

    def by_webhook(self, user_id: str, code: str) -> Caller:
        """The caller behind a webhook's address.

        :raises PortalError: ``INVALID_CREDENTIALS``.
        """
        if user_id != str(self.user_id) or not secrets.compare_digest(code.encode(), self.webhook_code.encode()):
            raise PortalError("INVALID_CREDENTIALS", "Invalid request credentials", status=401)
        return self._caller("webhook", f"webhook:{code}")

    def by_token(self, token: Any) -> Caller:
        """The caller behind an access token.

        :raises PortalError: ``NO_AUTH_FOUND``, ``expired_token``.
        """
        expires = self._access.get(token) if isinstance(token, str) else None
        if expires is None:
            raise PortalError("NO_AUTH_FOUND", "Wrong authorization data", status=401)
        if self._clock() >= expires:
            raise PortalError("expired_token", "The access token provided has expired", status=401)
        return self._caller("oauth", self.client_id)

    def issue(self) -> tuple[str, str]:
        """A new access token and a new refresh token."""
        now = self._clock()
        access, refresh = secrets.token_hex(16), secrets.token_hex(16)
        self._access[access] = now + ACCESS_SECONDS
        self._refresh[refresh] = now + REFRESH_SECONDS
        return access, refresh

    def expire_tokens(self) -> None:
        """All access tokens are old from now on; refresh tokens stay."""
        for token in self._access:
            self._access[token] = self._clock()

    def new_code(self) -> str:
        """An authorization code, good once and for 30 s."""
        code = secrets.token_hex(16)
        self._codes[code] = self._clock() + CODE_SECONDS
        return code

    def callback(self, target: str, code: str, state: str, base_url: str) -> str:
        """The application's address with what the portal adds to it after the user agreed."""
        host = base_url.partition("://")[2]
        query = {
            "code": code,
            "state": state,
            "domain": host,
            "member_id": self.member_id,
            "scope": ",".join(self.scopes),
            "server_domain": host,
        }
        return f"{target}{'&' if '?' in target else '?'}{urlencode(query)}"

    def token(self, query: Mapping[str, str], base_url: str) -> dict[str, Any]:
        """The answer of the authorization server: tokens for a code or for a refresh token.

        A refresh token is good once. Whether the vendor's server keeps the old one alive is not documented;
        this one does not.

        :raises PortalError: ``invalid_request``, ``wrong_client``, ``invalid_client``, ``invalid_grant``.
        """
        kind = query.get("grant_type")
        kept = {"refresh_token": self._refresh, "authorization_code": self._codes}.get(kind or "")
        name = "refresh_token" if kind == "refresh_token" else "code"
        if kept is None or not all(query.get(key) for key in ("client_id", "client_secret", name)):
            raise PortalError("invalid_request", "Authorization request is malformed")
        if query["client_id"] != self.client_id:
            raise PortalError("wrong_client", "Wrong client", status=200)
        if query["client_secret"] != self.client_secret:
            raise PortalError("invalid_client", "Client credentials are wrong")
        expires = kept.pop(query[name], None)
        if expires is None or self._clock() >= expires:
            raise PortalError("invalid_grant", "Code or refresh token is wrong or has expired")
        access, refresh = self.issue()
        host = base_url.partition("://")[2]
        answer: dict[str, Any] = {
            "access_token": access,
            "client_endpoint": f"{base_url}/rest/",
            "domain": host,
            "expires_in": ACCESS_SECONDS,
            "member_id": self.member_id,
            "refresh_token": refresh,
            "scope": ",".join(self.scopes),
            "server_endpoint": f"{base_url}/rest/",
            "status": "L",
        }
        if kind == "refresh_token":
            answer |= {"expires": int(self._clock()) + ACCESS_SECONDS, "user_id": self.user_id}
        return answer
