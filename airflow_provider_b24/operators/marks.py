"""Which part of a list a run loads: by the high-water mark of its task, or by the run's data interval."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_b24.rest.errors import ConfigurationError

# Runs that are done again read from where they did before; so many are remembered.
_REMEMBERED = 30
_LONGEST_KEY = 250


class Store(Protocol):
    """JSON values that all runs of a task can read and write."""

    def get(self, key: str) -> Any:
        """The value, or None."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Keep a value."""


@dataclass(frozen=True)
class Window:
    """What a load reads.

    :ivar since: rows that were changed at that time or later; None for all.
    :ivar until: rows that were changed before that time; None for all.
    :ivar moves: whether the mark is moved when the load is whole.
    :ivar why: for the log.
    """

    since: str | None = None
    until: str | None = None
    moves: bool = False
    why: str = ""


def fingerprint(*parts: Any) -> str:
    """Tells what is loaded from anything else: a mark holds for that alone."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def mark_key(dag_id: str, task_id: str, *, mapped: bool = False, of: str = "") -> str:
    """The name of the Variable: ``bitrix24_mark:DAG_ID:TASK_ID``.

    :param mapped: whether the task is one of many that ``expand`` has made. Their numbers mean another thing in each
        run, so that each is named after what it loads.
    :param of: the fingerprint of what is loaded.
    """
    key = f"bitrix24_mark:{dag_id}:{task_id}{f':{of}' if mapped else ''}"
    if len(key) <= _LONGEST_KEY:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    return f"{key[: _LONGEST_KEY - 13]}:{digest}"


class Mark:
    """The mark of one task, in Airflow's Variables.

    The Variable is a JSON object that people may read, edit and delete: ``mark`` is the portal's time at which the last
    whole load began, ``of`` and ``fingerprint`` say of what, ``runs`` since when the last runs have read, and
    ``place`` which file the last one has written. Without it everything is read.

    :param store: the Variables; None where they can not be reached.
    :param key: the Variable's name.
    :param of: what is loaded, for people.
    :param print_: its fingerprint.
    """

    def __init__(self, store: Store | None, key: str, of: str, print_: str) -> None:
        self._store = store
        self._key = key
        self._of = of
        self._print = print_

    def window(self, run_id: str, overlap: dt.timedelta, place: str = "") -> Window:
        """What an incremental load reads.

        :param place: what the load replaces; empty where it adds to what is there.
        :raises ConfigurationError: if another run has put there what would be lost.
        """
        if self._store is None:
            return Window(why="everything, for Airflow's Variables, where marks are, can not be reached here")
        kept = self._store.get(self._key)
        if not isinstance(kept, Mapping) or not kept.get("mark"):
            return Window(moves=True, why=f"everything, for there is no mark in the Variable {self._key} yet")
        if kept.get("fingerprint") != self._print:
            return Window(
                moves=True,
                why=f"everything, for the mark in the Variable {self._key} is of something else: portal, method, "
                "parameters or target are not what they were",
            )
        runs = _mapping(kept.get("runs"))
        if run_id in runs:
            since = runs[run_id]
            return Window(since, why=f"{_words(since)}, as this run did before; the mark stays where it is")
        if place and kept.get("place") == place:
            raise ConfigurationError(
                f"the run before has written {place}, and this one would replace it by what was changed since",
                advice="Put {{ run_id }} into the path, so that each run has a file of its own; or set "
                "incremental=False, to write everything in each run.",
            )
        begin = (_parsed(kept["mark"], self._key) - overlap).isoformat()
        return Window(begin, moves=True, why=f"{_words(begin)}: the mark {kept['mark']} less {_seconds(overlap)}")

    def move(self, to: str, *, run_id: str, since: str | None, place: str = "") -> str | None:
        """Note that a load is whole. The mark is never moved back: of two runs side by side, the later one counts.

        :param to: the portal's time at which it began.
        :param since: since when it has read.
        :param place: what it has replaced.
        :return: where the mark is now; None where there can be none.
        """
        if self._store is None:
            return None
        kept = _mapping(self._store.get(self._key))
        runs: dict[str, Any] = {}
        if kept.get("fingerprint") == self._print:
            runs = {name: at for name, at in _mapping(kept.get("runs")).items() if name != run_id}
            new, old = _parsed(to, self._key), _parsed(kept.get("mark") or to, self._key)
            if (old if old.tzinfo is not None else old.replace(tzinfo=new.tzinfo)) > new:
                to = kept["mark"]
        newest = [*runs.items(), (run_id, since)][-_REMEMBERED:]
        self._store[self._key] = {
            "mark": to,
            "of": self._of,
            "fingerprint": self._print,
            "runs": dict(newest),
            **({"place": place} if place else {}),
        }
        return to


def is_backfill(context: Mapping[str, Any]) -> bool:
    """Whether the run belongs to a backfill."""
    kind = getattr(context.get("dag_run"), "run_type", None)
    return str(getattr(kind, "value", kind)) == "backfill"


def of_interval(context: Mapping[str, Any]) -> Window:
    """What was changed in the run's data interval.

    :raises ConfigurationError: if it has none, or one without length.
    """
    begin, end = (moment(context.get(f"data_interval_{edge}")) for edge in ("start", "end"))
    if begin is None or end is None or begin == end:
        raise ConfigurationError(
            f"the run's data interval is {'empty: ' + begin if begin is not None and end is not None else 'not known'}",
            advice="Airflow 3 gives runs of a cron schedule no length unless it is told to: schedule the DAG with "
            "CronDataIntervalTimetable, or with CronTriggerTimetable(…, interval=timedelta(days=1)); or give since and "
            "until.",
        )
    return Window(begin, end, why=f"what was changed from {begin} to {end}, the run's data interval; the mark stays")


def moment(value: Any) -> str | None:
    """A time as text; None for none, also where a template has made a text of that."""
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return f"PT{value.total_seconds():.0f}S"
    text = "" if value is None else str(value).strip()
    return None if text in ("", "None") else text


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _words(since: Any) -> str:
    return "everything" if since is None else f"what was changed since {since}"


def _seconds(overlap: dt.timedelta) -> str:
    return f"{overlap.total_seconds():,.0f} s"


def _parsed(text: Any, key: str) -> Any:
    """A mark; without a zone, as people may have written it, it is the portal's time."""
    import pendulum

    try:
        found = pendulum.parse(str(text), tz=None)
    except ValueError:
        found = None
    if not isinstance(found, dt.datetime):
        raise ConfigurationError(
            f"the Variable {key} has the mark {text!r}",
            advice='It is a time such as "2026-05-04T03:00:00+03:00". Delete the Variable to load everything again.',
        )
    return found
