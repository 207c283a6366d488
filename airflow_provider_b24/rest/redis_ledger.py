"""A ledger for several hosts behind one address, in Redis. Needs the extra dependency ``redis``."""

from __future__ import annotations

import logging
import time
from typing import Any, TypeVar

from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.ledger import (
    Change,
    Ledger,
    call_after_fork,
    host_ledger,
    new_lock,
    seal,
    unseal,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_PREFIX = "airflow-provider-b24:"
# Seconds: a call rather goes on with what the host knows than waits for this.
_TIMEOUT = 1.0
# After so many seconds Redis is tried again.
_PAUSE = 5.0
# Milliseconds: what nobody has changed for so long is of no use to anybody.
_EXPIRES = 2 * 3600 * 1000

# Puts ARGV[2] in the place of ARGV[1], for ARGV[3] milliseconds, and returns nothing; if something else is there by
# now, or nothing is to be put, returns what is there, and the time.
_SCRIPT = """
local found = redis.call('GET', KEYS[1]) or ''
if #ARGV > 0 and found == ARGV[1] then
    if ARGV[2] == '' then
        redis.call('DEL', KEYS[1])
    else
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    end
    return {}
end
local time = redis.call('TIME')
return {found, time[1], time[2]}
"""


class RedisLedger:
    """Records that several hosts share, in a Redis server (5 or later).

    The clock is the server's. Where Redis does not answer within a second, the host goes on by itself, with its own
    ledger; that is said once in the log, and Redis is tried again every few seconds.

    :param url: ``redis://``, ``rediss://`` or ``unix://``, with user and password if there are any. A secret.
    :param fallback: used while Redis is out of reach. Default: the ledger of this host.
    :raises ConfigurationError: if the package ``redis`` is missing, or the URL can not be right.
    """

    blocking = True

    def __init__(self, url: str, fallback: Ledger | None = None) -> None:
        # Whatever is raised, the URL is no local of a frame that it comes from.
        client, problem = _client(url)
        del url
        if problem is not None:
            raise problem
        import redis

        self._script = client.register_script(_SCRIPT)
        self._client = client
        self._problems: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._fallback = fallback or host_ledger()
        self._lock = new_lock()
        self._again = float("-inf")
        self._lost = False
        call_after_fork(self)

    def update(self, key: str, change: Change[T]) -> T:
        """See :meth:`.Ledger.update`."""
        if time.monotonic() >= self._again:
            # One connection is enough, and whoever waits for an answer need not be waited for by others in vain.
            with self._lock:
                if time.monotonic() >= self._again:
                    if self._lost:
                        self._again = time.monotonic() + _PAUSE
                    try:
                        result = self._update(_PREFIX + key, change)
                    except self._problems as error:
                        self._failed(error)
                    else:
                        self._succeeded()
                        return result
        return self._fallback.update(key, change)

    def problem(self) -> str:
        """Why the server does not answer now, as the name of an error; empty if it does."""
        try:
            self._client.ping()
        except self._problems as error:
            return type(error).__name__
        return ""

    def close(self) -> None:
        """Close the connection; the next update opens another one."""
        self._client.close()

    def forked(self) -> None:
        """This is a new process: its lock must be its own. The connections are, by the package's own means."""
        self._lock = new_lock()

    def _update(self, key: str, change: Change[T]) -> T:
        answer = self._script(keys=[key])
        while True:
            found, seconds, microseconds = answer
            now = int(seconds) + int(microseconds) / 1e6
            before = unseal(found, now)
            after, result = change(before, now)
            if after is before:
                return result
            stored = seal(after, now) if after is not None else b""
            answer = self._script(keys=[key], args=[found, stored, _EXPIRES])
            if not answer:
                return result

    def _failed(self, error: Exception) -> None:
        self._again = time.monotonic() + _PAUSE
        if not self._lost:
            self._lost = True
            # Not the error's own words: they may say where the server is, and what was sent to it.
            log.warning(
                "The request limit can not be shared with other hosts for now: Redis (limiter_url) fails with %s. "
                "This host counts for itself meanwhile, and tries again every %.0f s.",
                type(error).__name__,
                _PAUSE,
            )

    def _succeeded(self) -> None:
        self._again = float("-inf")
        if self._lost:
            self._lost = False
            log.info("The request limit is shared with other hosts again: Redis (limiter_url) answers.")


def _client(url: str) -> tuple[Any, ConfigurationError | None]:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        return None, ConfigurationError(
            "limiter_url needs the package 'redis', which is not installed",
            advice="Run: pip install 'airflow-provider-b24[redis]'",
        )
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        pool = client.connection_pool
        # What the URL asks for is stronger than any argument; and what no connection or host can be is found here,
        # rather than by every call.
        pool.connection_kwargs["decode_responses"] = False
        pool.make_connection()
        pool.connection_kwargs.get("host", "").encode("idna")
    except (ValueError, TypeError, redis.RedisError):
        return None, ConfigurationError(
            "limiter_url is not the URL of a Redis server",
            advice="It looks like redis://user:password@redis.example:6379/0, rediss://… or unix:///path?db=0.",
        )
    return client, None


def redis_ledger(url: str) -> RedisLedger:
    """The ledger in this Redis; one for the whole process.

    :raises ConfigurationError: see :class:`RedisLedger`.
    """
    try:
        with _creating:
            found = _ledgers.get(url)
            if found is None:
                found = _ledgers[url] = RedisLedger(url)
            return found
    except ConfigurationError as error:
        problem = error.with_traceback(None)
    # A password in it would be seen among the locals of this frame.
    del url
    raise problem


_ledgers: dict[str, RedisLedger] = {}
_creating = new_lock()
