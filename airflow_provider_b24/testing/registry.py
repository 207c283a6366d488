"""The methods of the portal, and what a method is given and gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider_b24.testing.company import Company


@dataclass(frozen=True)
class Caller:
    """Who calls: the user, through a webhook or an application, and with which scopes."""

    user_id: int
    kind: str
    app: str
    scopes: frozenset[str]

    @property
    def by_webhook(self) -> bool:
        """Called through an incoming webhook."""
        return self.kind == "webhook"


@dataclass(frozen=True)
class Page:
    """The answer of a list method: ``total`` and ``next`` stand beside ``result``."""

    result: Any
    total: int | None = None
    next: int | None = None


@dataclass(frozen=True)
class Call:
    """What a method works on."""

    company: Company
    caller: Caller
    params: Any
    base_url: str

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter by its exact name."""
        return self.params.get(name, default) if isinstance(self.params, dict) else default

    def upper(self, name: str) -> Any:
        """A parameter of a method that reads its names without regard to case."""
        if not isinstance(self.params, dict):
            return None
        return next((value for key, value in self.params.items() if key.upper() == name), None)


Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class Method:
    """A method: its scope (empty: any caller), and whether a batch may contain it."""

    name: str
    scopes: tuple[str, ...]
    handler: Handler
    in_batch: bool = True


V2: dict[str, Method] = {}
V3: dict[str, Method] = {}

# Refused in a batch, whether this portal has them or not.
FILE_METHODS = frozenset(
    {
        "im.v2.File.upload",
        "im.v2.File.download",
        "imbot.v2.File.upload",
        "imbot.v2.File.download",
        "disk.folder.uploadFile",
        "disk.folder.uploadfile",
        "disk.storage.uploadFile",
        "disk.storage.uploadfile",
        "disk.file.uploadversion",
    }
)


def method(name: str, *scopes: str, version: int = 2, in_batch: bool = True) -> Callable[[Handler], Handler]:
    """Register a handler; any one of the scopes opens it."""

    def register(handler: Handler) -> Handler:
        (V2 if version == 2 else V3)[name] = Method(name, scopes, handler, in_batch)
        return handler

    return register
