"""A portal as one credential knows it: where it lives, what proves a call, how fast and how long to try."""

from __future__ import annotations

import datetime as dt
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.clock import Clock, SystemClock
from airflow_provider_b24.rest.credentials import Credential, OAuthApp, Tokens, TokenStore, redact
from airflow_provider_b24.rest.errors import ConfigurationError, RedirectRefusedError
from airflow_provider_b24.rest.ledger import Ledger, MemoryLedger
from airflow_provider_b24.rest.lock import Lock, MemoryLock
from airflow_provider_b24.rest.operating import CLOUD_LIMIT, OperatingBudget, name_of
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.shared import SharedBucket

log = logging.getLogger(__name__)

# A wait longer than this is told in the log, in seconds.
_LONG_WAIT = 5.0


@dataclass(frozen=True)
class Patience:
    """How long a call goes on trying.

    :ivar tries: how often a call is sent in all when the portal can not be reached, or when a call that may
        be repeated has no usable answer. Default 4.
    :ivar pause: seconds before the second try; doubled for each further one, with jitter. Default 0.5.
    :ivar limits: seconds a call waits in all for limits of the portal. Default 900.
    :ivar operating: seconds a call waits in all for the execution time of its method; more is raised with
        ``retry_after``. Default 60.
    :ivar answer: seconds for each answer in all, with the way there. Default None: what the transport is set to.
    :ivar late: seconds after which a request without an answer can not take effect any more. Default 90: a portal
        in the cloud gives a request up after 60, and it may take a while to get there.
    """

    tries: int = 4
    pause: float = 0.5
    limits: float = 900.0
    operating: float = 60.0
    answer: float | None = None
    late: float = 90.0


class Meter(Protocol):
    """Where it is counted what happens to calls; in the form of Airflow's own ``Stats``."""

    def incr(self, stat: str, *, tags: Mapping[str, str]) -> object:
        """Count one."""

    def timing(self, stat: str, dt: dt.timedelta, *, tags: Mapping[str, str]) -> object:
        """Note how long something took."""


class Peer:
    """A portal as one credential knows it now: where it lives, how fast it may be called, what proves a call.

    :param credential: webhook or application.
    :param tokens: where an application's tokens are kept; required for an :class:`OAuthApp`.
    :param plan: the request limit, or None where there is none.
    :param ledger: where what is known of the portal's limits is kept, for all who share it; default: in this object's
        memory.
    :param operating_limit: seconds of execution time that a method may use in ten minutes. Default 480.
    :param patience: how long to go on trying.
    :param clock: time.
    :param jitter: a number from 0 to 1, drawn anew for each pause.
    :param secrets: what else must not be shown, such as a bot's token.
    :param redirect_hosts: hosts that a redirect may take the secret to, besides those it may in any case; each stands
        for itself and for all that is below it.
    :param lock: who holds it may renew the tokens. Default: one for this object.
    :param authorise: the command that authorises the application anew, for the advice of errors.
    :param renewal_refused: why tokens must not be renewed here, as an advice; empty where they may be.
    :param meter: where calls, waits, refusals, retries and unknown outcomes are counted; None for nowhere.
    :ivar current: the tokens that calls carry now; None for a webhook, and before they are loaded.
    :ivar account: the user behind an application's tokens, once somebody has asked.
    :ivar bucket: what is drawn from before a request is sent; None without a limit.
    :raises ConfigurationError: for an application without a token store.
    """

    def __init__(
        self,
        credential: Credential,
        *,
        tokens: TokenStore | None = None,
        plan: Plan | None = None,
        ledger: Ledger | None = None,
        operating_limit: float = CLOUD_LIMIT,
        patience: Patience | None = None,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
        secrets: tuple[str, ...] = (),
        redirect_hosts: tuple[str, ...] = (),
        lock: Lock | None = None,
        authorise: str = "",
        renewal_refused: str = "",
        meter: Meter | None = None,
    ) -> None:
        if isinstance(credential, OAuthApp) and tokens is None:
            raise ConfigurationError(
                "an application's tokens are missing",
                advice="Give access_token and refresh_token, or a token store.",
            )
        self.credential = credential
        self.tokens = tokens
        self.current: Tokens | None = None
        self.account: int | None = None
        self._former: Tokens | None = None
        self.address = credential.address
        self.patience = patience or Patience()
        self.clock: Clock = clock or SystemClock()
        self.ledger: Ledger = ledger or MemoryLedger(self.clock.monotonic)
        self.bucket = SharedBucket(self.ledger, self.address, plan) if plan is not None else None
        self.budget = OperatingBudget(self.ledger, name_of(credential), operating_limit)
        self.jitter = jitter
        self.lock: Lock = lock or MemoryLock()
        self.renewal_refused = renewal_refused
        self.authorise = authorise
        self._used_up: str | None = None
        self._secrets = secrets
        self._redirect_hosts = redirect_hosts
        self._meter = meter

    def __repr__(self) -> str:
        return f"Peer({self.credential!r})"

    def adopt(self, tokens: Tokens) -> None:
        """Call with these tokens from now on, and where the authorisation server says the portal lives."""
        if tokens == self.current:
            return
        self._former, self.current = self.current, tokens
        try:
            named = Address.of_url(tokens.endpoint or "")
        except ConfigurationError:
            return
        if self.may_move(named):
            self.move(named)
        else:
            log.warning(
                "The authorisation server names %s as the address of %s, which may not be given the secret: calls go "
                "on to the old address. %s",
                named,
                self.address,
                RedirectRefusedError.default_advice,
            )

    def may_move(self, address: Address) -> bool:
        """Whether the portal may be called at another address, with the secret."""
        return self.address.may_become(address, self._redirect_hosts)

    def newer(self, stored: Tokens) -> Tokens:
        """What was stored, or the tokens that this peer got for it and could not store."""
        return self.current if self.current and stored.refresh_token == self._used_up else stored

    def note_stored(self, used: Tokens, fresh: Tokens, problem: str) -> None:
        """Tokens were renewed: ``used`` is used up, and still what the store has if there was a problem."""
        if problem:
            # What was renewed from tokens that could not be stored still stands for what the store has.
            self._used_up = used.refresh_token if self._used_up is None else self._used_up
            self.adopt(fresh)
        else:
            self._used_up = None

    def with_command(self, advice: str) -> str:
        """An advice to authorise the application, with the command that does it."""
        return f"{advice} Run: {self.authorise}" if self.authorise else advice

    def move(self, address: Address) -> None:
        """Call the portal at another address from now on; said once in the log."""
        if address != self.address:
            log.warning(
                "The portal %s has moved to %s: calls go there from now on. Change the host of the Airflow connection.",
                self.address,
                address,
            )
            self.address = address
            if self.bucket is not None:
                self.bucket = self.bucket.at(address)

    def count(self, stat: str, method: str, **tags: str) -> None:
        """Count that something happened to a call of this method."""
        if self._meter is not None:
            self._meter.incr(stat, tags={"portal": self.address.host, "method": method, **tags})

    def tell_wait(self, method: str, seconds: float, reason: str, why: str) -> None:
        """A call waits: counted, and told in the log where it takes long.

        :param reason: one word, for the meter.
        :param why: a sentence without secrets, for the log.
        """
        if self._meter is not None:
            tags = {"portal": self.address.host, "method": method, "reason": reason}
            self._meter.timing("bitrix24.waits", dt.timedelta(seconds=seconds), tags=tags)
        if seconds > _LONG_WAIT:
            until = dt.datetime.fromtimestamp(self.clock.time() + seconds, dt.timezone.utc)
            log.info("%s waits %.0f s, until %s: %s", method, seconds, until.strftime("%H:%M:%S UTC"), why)

    def redact(self, text: str) -> str:
        """The text without any secret of this peer."""
        secrets = self.credential.secrets + self._secrets
        # An answer may still speak of the tokens that were renewed meanwhile.
        for tokens in (self.current, self._former):
            secrets += tokens.secrets if tokens is not None else ()
        return redact(text, secrets)

    def backoff(self, attempt: int, patience: Patience | None = None) -> float:
        """Seconds of pause after the given try (1 for the first).

        :param patience: instead of the peer's own.
        """
        # No pause is longer than the exponent makes sense: a float would overflow.
        return float((patience or self.patience).pause * 2 ** min(attempt - 1, 30) * (0.5 + self.jitter()))
