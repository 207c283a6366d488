"""A portal that repeats in its refusals every secret it was told, in every form."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from airflow_provider_b24.testing import FakePortal, Fault
from tests.portal.faults.credentials import CREDENTIALS, give_secrets, secrets_of, told
from tests.portal.rest.proxies import Proxy

_TYPING = "imbot.v2.Chat.InputAction.notify"


class Telltale:
    """The portal, and a connection to it for each kind of credential.

    :ivar connections: by id, once it has started.
    :ivar secrets: all that there have been so far.

    What a connection ``telltale_x`` calls is to be the method ``telltale_x.get``, for it is told its own secrets only.
    """

    def __init__(self) -> None:
        self.portal = FakePortal()
        give_secrets(self.portal)
        # Both kinds of application have the same keys, and none may be told the other's tokens.
        self._credentials = {
            f"telltale_{credential.replace(' ', '_')}": credential
            for credential in CREDENTIALS
            if credential != "application"
        }
        self._faults: dict[str, list[Fault]] = {}
        self.connections: dict[str, Mapping[str, Any]] = {}
        self.secrets: set[str] = set()

    def start(self, stack: ExitStack) -> None:
        """Start it; it stops with the stack."""
        proxy = stack.enter_context(Proxy())
        stack.enter_context(self.portal)
        for name, kind in self._credentials.items():
            self.connections[name] = CREDENTIALS[kind](self.portal, proxy.url)
        self._tell()

    def refuse(self) -> None:
        """Refuse everything from now on, but the first signal of a bot."""
        for name in self._credentials:
            # An application's first call is to find its token expired.
            skip = 1 if name.startswith("telltale_application") else 0
            faults = [Fault("error", f"{name}.get", times=None, code="TOLD", skip=skip)]
            if name == "telltale_bot":
                for in_batch, skip in ((True, 0), (False, 1)):
                    faults.append(Fault("error", _TYPING, times=None, code="TOLD", in_batch=in_batch, skip=skip))
            self._faults[name] = [self.portal.faults.add(fault) for fault in faults]
        self.portal.on_call = self._tell
        self._tell()

    def _tell(self, _: object = None) -> None:
        for name, kind in self._credentials.items():
            secrets = secrets_of(self.portal, kind)
            self.secrets |= secrets
            for fault in self._faults.get(name, []):
                fault.description = told(secrets)
