"""What a conversation asks of the driver that carries it out.

Where the driver fails with an error of ours, it throws that into the conversation: that alone knows what has been done
before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_b24.rest.protocol import Request


@dataclass(frozen=True)
class Send:
    """Carry out this request; the outcome is a :class:`Response` or a :class:`Failure`.

    :ivar deadline: seconds for the whole of it, from looking for a connection to the answer's last byte, where
        the transport's own times are not meant.
    """

    request: Request
    deadline: float | None = None


@dataclass(frozen=True)
class Wait:
    """Let this many seconds pass."""

    seconds: float


@dataclass(frozen=True)
class Renew:
    """Get tokens newer than ``stale``; the outcome is the new :class:`Tokens`.

    :ivar within: seconds after which this call does not wait any longer, while the renewal goes on; None for as long
        as it takes.
    """

    stale: str = field(repr=False)
    within: float | None = None


@dataclass(frozen=True)
class Ask:
    """Have this done; the outcome is what it returns.

    :ivar blocking: whether it may take longer than a moment, so that an event loop leaves it to a thread.
    """

    question: Callable[[], Any] = field(repr=False)
    blocking: bool = True


@dataclass(frozen=True)
class Failure:
    """No response. A value instead of an exception, so that no library's message with the URL in it survives.

    :ivar text: what happened, in words of ours.
    :ivar sent: whether any of the request may have reached the portal.
    :ivar certificate: whether the cause is a TLS certificate that is not trusted.
    :ivar advice: what to do about it, where another try would end like this one.
    """

    text: str
    sent: bool
    certificate: bool = False
    advice: str = ""


Step = Send | Wait | Renew | Ask
