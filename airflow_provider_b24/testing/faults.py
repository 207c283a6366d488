"""Misfortunes to order."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

KINDS = frozenset(
    {
        "reset", "reset_after", "timeout", "html_500", "html_502", "html_503", "html_504", "html_200",
        "truncated_json", "json_500", "query_limit", "operation_time_limit", "overload_limit",
        "expired_token", "error", "redirect", "slow", "drip", "big",
    }
)  # fmt: skip
"""What can go wrong."""

TOKEN_METHOD = "oauth.token"  # noqa: S105 - a name
"""What a request to the authorization server is called here."""


@dataclass
class Fault:
    """Something that goes wrong with a call.

    :param kind: ``reset`` (the connection is dropped with a TCP reset), ``reset_after`` (the same after the
        call took effect), ``timeout`` (no answer until the portal stops, or for ``seconds``; then the
        connection is dropped), ``html_500``/``html_502``/``html_503``/``html_504``/``html_200`` (a page instead
        of JSON), ``truncated_json`` (half of a JSON document), ``json_500`` (``INTERNAL_SERVER_ERROR``),
        ``query_limit``, ``operation_time_limit``, ``overload_limit``, ``expired_token``, ``error``
        (``code``, ``description`` and ``status`` as given), ``redirect`` (302 to ``location``), ``slow``
        (the answer comes ``seconds`` later), ``drip`` (the true answer, one byte per ``seconds``), ``big``
        (a JSON answer of ``size`` bytes).
    :param method: the method it befalls, or ``*`` for all; ``batch`` is a method, too. Requests for tokens
        are ``oauth.token``, which ``*`` does not include.
    :param times: how often, ``None`` for always.
    :param after_effect: the call takes effect first, and only its answer suffers. ``slow`` lets the call take
        effect in any case, before or after the wait; ``drip`` always does.
    :param contains: befalls requests only whose body contains this text, such as a word of a message.
    :param in_batch: befalls sub-commands of a batch and nothing else.
    :param probability: of befalling a call that it could befall.
    :param seed: of the random numbers behind ``probability``.
    :param skip: calls to let pass before the first one.
    :param code: of ``error``: text, empty or a number.
    :param description: of ``error``; instead of the usual one, of any other refusal.
    :param status: HTTP status, where another than the usual one is wanted.
    :param seconds: see ``kind``; default: for ever with ``timeout``, otherwise 1 s.
    :param location: of ``redirect``.
    :param size: of ``big``, in bytes.
    """

    kind: str
    method: str = "*"
    times: int | None = 1
    after_effect: bool = False
    in_batch: bool = False
    probability: float = 1.0
    seed: int = 0
    skip: int = 0
    code: str | int = "ERROR_CORE"
    description: str = ""
    status: int | None = None
    seconds: float | None = None
    location: str = ""
    size: int = 1_000_000
    contains: str = ""
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {self.kind!r}, known: {', '.join(sorted(KINDS))}")
        if self.kind == "reset_after":
            self.kind, self.after_effect = "reset", True
        if self.kind == "drip":
            self.after_effect = True
        self._random = random.Random(self.seed)  # noqa: S311 - not a secret

    def _means(self, method: str) -> bool:
        return self.method == method or (self.method == "*" and method != TOKEN_METHOD)

    def befalls(self, method: str, in_batch: bool, body: bytes = b"") -> bool:
        """Does it happen to this call? Counts it, if so."""
        if self.in_batch != in_batch or not self._means(method) or self.contains.encode() not in body:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.probability < 1.0 and self._random.random() >= self.probability:
            return False
        self.hits += 1
        return True


class Faults:
    """The faults that are in force; the first that befalls a call is the one that happens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force; its ``hits`` tell later how often it happened."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Lift a fault."""
        with self._lock:
            self._faults.remove(fault)

    def clear(self) -> None:
        """Lift all faults."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, *, in_batch: bool, body: bytes = b"") -> Fault | None:
        """The fault of this call, if any."""
        with self._lock:
            return next((fault for fault in self._faults if fault.befalls(method, in_batch, body)), None)
