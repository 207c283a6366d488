"""Moments as people name them, and the filter of a list by the time of its rows' last change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pendulum
from pendulum.parsing.exceptions import ParserError

from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import ConfigurationError, UnexpectedReplyError
from airflow_provider_b24.rest.keyset import all_of
from airflow_provider_b24.rest.lists import ListMethod, list_method
from airflow_provider_b24.rest.protocol import Call

if TYPE_CHECKING:
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step

    # What pendulum understands: a text, a time, a day, or how long ago.
    Moment = str | dt.datetime | dt.date | dt.timedelta


def portal_time(peer: Peer) -> Generator[Step, Any, pendulum.DateTime]:
    """What time it is in the portal, in its own offset from UTC (``server.time``).

    The offset is today's: where the clocks are changed, it is another one in the other half of the year.
    """
    reply = yield from converse(peer, Call("server.time"))
    try:
        moment = pendulum.parse(str(reply.result), exact=True)
    except ParserError:
        moment = None
    if not isinstance(moment, pendulum.DateTime):
        raise UnexpectedReplyError("the answer is no time", method="server.time")
    return moment


def asked_filter(
    peer: Peer,
    method: str,
    params: Mapping[str, Any],
    *,
    since: Moment | None,
    until: Moment | None,
    version: Literal[2, 3] = 2,
) -> Generator[Step, Any, Mapping[str, Any]]:
    """The parameters of a list, with the filter "last changed from ``since`` up to, but not at, ``until``".

    :raises ConfigurationError: if such rows can not be found by this method, the caller filters by the same field, or
        a moment is none.
    :raises Bitrix24Error: if the portal could not be asked what time it is.
    """
    if since is None and until is None:
        return params
    listed = changeable(method, version)
    given = next((name for name in params if name.lower() == listed.filter.lower()), listed.filter)
    check_free(method, params.get(given), listed)
    now = yield from portal_time(peer)
    conditions = between(listed, since, until, now)
    if version == 3:
        own = params.get(given) or []
        return {**params, given: [*([own] if isinstance(own, Mapping) else own), *_triples(conditions)]}
    return {**params, given: {**all_of(params.get(given) or {}), **conditions}}


def changeable(method: str, version: Literal[2, 3] = 2) -> ListMethod:
    """A list that can be asked for what was changed in a span of time.

    :raises ConfigurationError: if the vendor documents no such filter for it.
    """
    listed = list_method(method, version)
    if listed is None or listed.changed is None:
        raise ConfigurationError(
            f"since and until are not for {method}: it is not documented to be filtered by the time of the last change",
            advice="Leave them out and read the whole list, or put a condition of your own into its filter.",
        )
    return listed


def between(listed: ListMethod, since: Moment | None, until: Moment | None, now: pendulum.DateTime) -> dict[str, str]:
    """The conditions of a filter, in the offset that the portal writes its own times in.

    Both ends are whole seconds, as all times of a portal are: a part of one counts for the next.

    :param now: the portal's time.
    :raises ConfigurationError: if a moment is none, or the span ends before it begins.
    """
    first = None if since is None else _whole(moment_of(since, now, "since"))
    last = None if until is None else _whole(moment_of(until, now, "until"))
    if first is not None and last is not None and first > last:
        raise ConfigurationError(
            f"since is {first.isoformat()}, which is after until, {last.isoformat()}", advice="Change them round."
        )
    ends = ((">=", first), ("<", last))
    return {f"{sign}{listed.changed}": end.isoformat() for sign, end in ends if end is not None}


def moment_of(value: Moment, now: pendulum.DateTime, name: str) -> pendulum.DateTime:
    """A moment, in the portal's offset.

    A text is read by ``pendulum.parse``. A time without a zone is the portal's own, as its pages show it; a day is
    its midnight there. A duration, as ``timedelta(days=1)`` or ``"P1D"``, is that long before now.

    :param now: the portal's time.
    :param name: of the argument, for the error.
    :raises ConfigurationError: if it is no moment.
    """
    try:
        found = _understood(value, now)
    except (ParserError, ValueError, OverflowError):
        found = None
    if found is None:
        raise ConfigurationError(
            f"{name} is {value!r}, which is no moment",
            advice='Give a datetime, a date, a timedelta (so long ago), or a text such as "2026-03-01T08:00:00+01:00".',
        )
    return found.in_timezone(_zone_of(now))


def _understood(value: Any, now: pendulum.DateTime) -> pendulum.DateTime | None:
    zone = _zone_of(now)
    if isinstance(value, str):
        if value.strip().lower() == "now":
            return now
        value = pendulum.parse(value.strip(), tz=zone, now=now)
    if isinstance(value, dt.datetime):
        # By way of UTC: of an hour that the clocks leave out, pendulum thinks otherwise than Python.
        return pendulum.instance(value if value.tzinfo is None else value.astimezone(dt.timezone.utc), tz=zone)
    if isinstance(value, dt.date):
        return pendulum.datetime(value.year, value.month, value.day, tz=zone)
    # An interval between two moments has a length, but is meant otherwise.
    if isinstance(value, dt.timedelta) and not isinstance(value, pendulum.Interval):
        return now - value
    return None


def _zone_of(now: pendulum.DateTime) -> pendulum.Timezone | pendulum.FixedTimezone:
    return now.timezone or pendulum.UTC


def _whole(moment: pendulum.DateTime) -> pendulum.DateTime:
    return moment.set(microsecond=0).add(seconds=1) if moment.microsecond else moment


def check_free(method: str, given: Any, listed: ListMethod) -> None:
    """Refuse a filter that has a condition by the time of the last change already, or is none.

    :raises ConfigurationError: then.
    """
    if isinstance(given, Mapping):
        names = [str(key).lstrip("!<>=@%") for key in given]
    elif isinstance(given, (list, tuple)):
        names = [str(one[0]) for one in given if isinstance(one, (list, tuple)) and one]
    elif given is None or given == "":
        return
    else:
        raise ConfigurationError(f"the filter of {method} is {given!r}", advice="Give a mapping.")
    if listed.changed in names:
        raise ConfigurationError(
            f"the filter of {method} has a condition by {listed.changed}, which since and until set",
            advice="Leave out the one or the others.",
        )


def _triples(conditions: Mapping[str, str]) -> list[list[str]]:
    """The same conditions, as REST 3.0 takes them."""
    return [[key.lstrip("<>="), key[: len(key) - len(key.lstrip("<>="))], value] for key, value in conditions.items()]
