"""What an alert is about, and what is kept of earlier ones: decisions without a clock or a store of their own.

What is kept is plain JSON, one record for each task (or DAG) and place. Whoever changes a record gives a function from
the old one to the new one that changes nothing when it is applied again: two may write at once, and whose change is
missing afterwards applies it anew.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_b24.rest.errors import ConfigurationError

Kind = Literal[
    "failure", "retry", "success", "skipped", "running", "dag_failure", "dag_success", "deadline", "decision"
]
Record = dict[str, Any]

SEVERITIES = ("info", "warning", "error", "critical")
_SEVERITY: dict[str, str] = {"failure": "error", "dag_failure": "error", "retry": "warning", "deadline": "warning"}

# How many events of one failure are told apart; how many failures of one task, runs and lines are kept.
MOST_EVENTS = 200
_MOST_EPISODES = 4
_MOST_RUNS = 20
MOST_LINES = 60
# Stands among the keys of a group's lines, all of which are longer.
_CLOSED = "."
# After so many seconds nobody is under way with a delivery any more.
_SETTLED = 600.0
# How long it is known that an event was told, in seconds, and how many such events and claims of one task are kept.
_TOLD_LASTS, _MOST_TOLD, _MOST_CLAIMS = 86_400.0, 500, 50

# What is different in every run: numbers, addresses, identifiers.
_CHANGING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b|\d+", re.IGNORECASE)
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\Z")


@dataclass(frozen=True)
class Event:
    """Something that happened to a task or a run.

    :ivar tries: how many tries there are in all; 0 where that is not known.
    :ivar clears: how often the run has been cleared.
    :ivar began: when the run was due (epoch seconds), by which later runs are told from earlier ones.
    :ivar at: when it happened (epoch seconds).
    :ivar seconds: how long it took.
    :ivar error: the exception's type and the last line of its text, fit for a message.
    :ivar reason: why a run failed, in Airflow's word.
    :ivar life: what else tells it from another event of the same task or run.
    :ivar failed: of a run: the tasks that failed, each with the address of its log.
    :ivar due: of a deadline (epoch seconds).
    :ivar body: what explains a decision; with BBCode.
    """

    kind: Kind
    dag_id: str
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    try_number: int = 0
    tries: int = 0
    clears: int = 0
    began: float = 0.0
    at: float = 0.0
    seconds: float | None = None
    error: str = ""
    reason: str = ""
    life: str = ""
    failed: tuple[tuple[str, str], ...] = ()
    due: float | None = None
    log_url: str = ""
    run_url: str = ""
    subject: str = ""
    body: str = ""
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the task or DAG, as it is shown."""
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped}" if self.task_id else self.dag_id

    @property
    def about(self) -> str:
        """What it has in common with the other parts of a mapped task, and with other runs."""
        return f"{self.dag_id}.{self.task_id}" if self.task_id else self.dag_id

    @property
    def attempt(self) -> str:
        """Of the run, which may be cleared."""
        return f"{self.run_id} {self.clears}"

    @property
    def key(self) -> str:
        """The same for two callbacks about one event, and for nothing else."""
        parts = (self.kind, self.dag_id, self.run_id, self.task_id, self.map_index, self.try_number, self.life)
        return digest(*parts)[:16]

    @property
    def signature(self) -> str:
        """The same for failures that are the same: what differs from run to run is left out."""
        return digest(self.kind, _CHANGING.sub("#", f"{self.error} {self.reason}"))[:12]

    def severity(self, given: str | None = None) -> str:
        """How bad it is.

        :param given: what the author says of failures, deadlines and decisions.
        """
        told = self.kind in ("failure", "dag_failure", "deadline", "decision")
        return given if given is not None and told else _SEVERITY.get(self.kind, "info")


@dataclass(frozen=True)
class Quiet:
    """Hours of the day in which only some alerts are sent.

    :ivar start: in minutes since midnight, of the zone.
    :ivar end: likewise; if it is not after the start, of the next day.
    """

    start: int
    end: int
    zone: dt.tzinfo

    @classmethod
    def of(cls, given: object, zone: dt.tzinfo) -> Quiet:
        """From two times such as ``("22:00", "07:00")``.

        :raises ConfigurationError: if they are not that.
        """
        times = [given] if isinstance(given, str) or not isinstance(given, Sequence) else list(given)
        found = [_TIME.match(time) for time in times if isinstance(time, str)]
        minutes = [int(match[1]) * 60 + int(match[2]) for match in found if match]
        if len(times) != 2 or len(minutes) != 2 or minutes[0] == minutes[1]:
            raise ConfigurationError(
                f"quiet is {given!r}", advice='Give two times of the day, like ("22:00", "07:00").'
            )
        return cls(minutes[0], minutes[1], zone)

    def night(self, now: float) -> str | None:
        """The day on which these hours end, if it is one of them; None otherwise."""
        local = dt.datetime.fromtimestamp(now, self.zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return local.date().isoformat() if self.start <= minute < self.end else None
        if minute >= self.start:
            return (local.date() + dt.timedelta(days=1)).isoformat()
        return local.date().isoformat() if minute < self.end else None

    def is_over(self, night: str, now: float) -> bool:
        """Whether the hours that end on this day are over."""
        end = dt.datetime.fromisoformat(night) + dt.timedelta(minutes=self.end)
        return end.replace(tzinfo=self.zone).timestamp() <= now

    def __str__(self) -> str:
        return "–".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (self.start, self.end))


@dataclass(frozen=True)
class Rules:
    """What an author wants to be told.

    :ivar window: seconds for which the same failure is counted in its first message; None: each is a message.
    :ivar loud: severities that quiet hours let pass.
    :ivar digest: whether failed tasks are told by the DAG's message.
    :ivar severity: of failures, deadlines and decisions; None for the usual one.
    :ivar successes: whether successes are told that follow no failure.
    """

    window: float | None = 3600.0
    quiet: Quiet | None = None
    loud: frozenset[str] = frozenset({"critical"})
    digest: bool = False
    severity: str | None = None
    successes: bool = False


@dataclass(frozen=True)
class Episode:
    """One failure that goes on: a message, and the events that were counted in it.

    :ivar id: the same for all who begin it at once.
    :ivar message: the id of its message; 0 if it has none yet.
    """

    id: str
    first: float
    events: tuple[str, ...] = ()
    message: int = 0
    last: float = field(default=0.0, compare=False)

    @property
    def count(self) -> str:
        """How often it happened, as it is shown."""
        return f"{MOST_EVENTS}+" if len(self.events) >= MOST_EVENTS else str(len(self.events))


def digest(*parts: object) -> str:
    """A name made of anything."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def signature_of(event: Event, rules: Rules) -> str:
    """What failures have in common that are counted together."""
    return event.key if rules.window is None else event.signature


def episode_for(record: Record, event: Event, rules: Rules, now: float) -> Episode:
    """The episode that a failure belongs to: the one that is open, or a new one.

    A window begins with the first message, so that there is one in each.
    """
    signature = signature_of(event, rules)
    held = _episodes(record).get(signature)
    if held is not None and (rules.window is None or now - held.first < rules.window):
        return held
    turn = _number(record.get("turn"))
    # Who begins it at the same time gives it the same name.
    at = "" if rules.window is None else str(int(now // rules.window))
    return Episode(f"{signature}.{turn:.0f}.{at}", now)


def with_failure(record: Record, event: Event, episode: Episode, signature: str) -> Record:
    """The record with one more failure."""
    episodes = _episodes(record)
    held = episodes.get(signature)
    if held is None or held.id != episode.id:
        held = Episode(episode.id, episode.first)
    events = held.events
    if event.key not in events:
        events = (*events, event.key)[-MOST_EVENTS:]
    message = max(held.message, episode.message)
    episodes[signature] = Episode(held.id, held.first, events, message, max(held.last, event.at))
    newest = sorted(episodes, key=lambda name: (name == signature, episodes[name].first))[-_MOST_EPISODES:]
    failing = {**_mapping(record.get("failing")), str(event.map_index): [event.run_id, event.began]}
    return {**record, "episodes": {name: _json(episodes[name]) for name in newest}, "failing": failing}


@dataclass(frozen=True)
class Claim:
    """Says in which message an event is told, whoever of its callbacks does it and whatever he knows of it.

    :ivar episode: the id of what it is counted in.
    :ivar error: what one of the callbacks knows of the exception.
    """

    episode: str
    error: str = ""


def claim_of(record: Record, key: str) -> Claim | None:
    """Where an event is being told; None if nobody is about to."""
    held = _mapping(record.get("claims")).get(key)
    return Claim(str(held[1]), str(held[2])) if isinstance(held, list) and len(held) == 3 else None


def with_claim(record: Record, event: Event, rules: Rules, now: float) -> Record:
    """The record in which somebody is about to tell a failure: the first says where, all say what they know."""
    if is_told(record, event.key):
        return record
    claims = dict(_mapping(record.get("claims")))
    held = claim_of(record, event.key)
    if held is None:
        claims[event.key] = [now, episode_for(record, event, rules, now).id, event.error]
    elif event.error and not held.error:
        claims[event.key] = [now, held.episode, event.error]
    return {**record, "claims": dict(list(claims.items())[-_MOST_CLAIMS:])}


def is_told(record: Record, key: str) -> bool:
    """Whether an event was told, or will be: then it is not to be told again."""
    return key in _mapping(record.get("told"))


def is_bare(record: Record, key: str) -> bool:
    """Whether a failure was told by somebody who did not know the exception."""
    return key in _mapping(record.get("bare"))


def with_told(record: Record, key: str, now: float, *, bare: bool = False) -> Record:
    """The record in which an event was told.

    :param bare: that it was told without the exception.
    """
    told = {name: at for name, at in _mapping(record.get("told")).items() if _number(at) > now - _TOLD_LASTS}
    without = {name: at for name, at in _mapping(record.get("bare")).items() if name in told}
    if not bare:
        without.pop(key, None)
    elif key not in told:
        without[key] = int(now)
    told.setdefault(key, int(now))
    claims = {name: held for name, held in _mapping(record.get("claims")).items() if name != key}
    kept = dict(list(told.items())[-_MOST_TOLD:])
    return {**record, "told": kept, "bare": dict(list(without.items())[-_MOST_CLAIMS:]), "claims": claims}


def episode_with(record: Record, *, id: str = "", event: str = "") -> Episode | None:
    """The episode that has this id, or in which this event is counted."""
    found = (one for one in _episodes(record).values() if one.id == id or event in one.events)
    return next(found, None)


def with_success(record: Record, event: Event) -> Record:
    """The record after a success: of the part that failed, in the same run or one that is not earlier."""
    failing = _mapping(record.get("failing"))
    held = failing.get(str(event.map_index))
    if not isinstance(held, list) or len(held) != 2:
        return record
    if held[0] != event.run_id and event.began < _number(held[1]):
        return record
    return {**record, "failing": {index: run for index, run in failing.items() if index != str(event.map_index)}}


def recovered(record: Record) -> list[tuple[str, Episode]]:
    """The failures that are over, once no part is failing any more, the newest last."""
    if _mapping(record.get("failing")):
        return []
    return sorted(
        ((name, one) for name, one in _episodes(record).items() if one.events), key=lambda pair: pair[1].first
    )


def without_episodes(record: Record, over: Sequence[Episode], turn: float) -> Record:
    """The record without failures that are over; whatever fails from now on begins anew.

    :param turn: of the record that they were read from.
    """
    ids = {episode.id for episode in over}
    left = {name: _json(one) for name, one in _episodes(record).items() if one.id not in ids}
    return {**record, "episodes": left, "turn": max(turn + 1, _number(record.get("turn")))}


def turn_of(record: Record) -> float:
    """How often the record began anew."""
    return _number(record.get("turn"))


def with_entry(record: Record, key: str, at: float) -> Record:
    """The record with the name of a delivery, which is to be forgotten some time."""
    entries = _mapping(record.get("entries"))
    return record if key in entries else {**record, "entries": {**entries, key: at}}


def settled(record: Record, now: float, most: int = 10) -> list[str]:
    """Names of deliveries that nobody is under way with any more."""
    entries = _mapping(record.get("entries"))
    return [key for key, at in entries.items() if _number(at) < now - _SETTLED][:most]


def without_entries(record: Record, keys: Sequence[str]) -> Record:
    """The record without these names."""
    return {**record, "entries": {k: at for k, at in _mapping(record.get("entries")).items() if k not in keys}}


def with_line(record: Record, group: str, key: str, line: str, most: int = _MOST_RUNS) -> Record:
    """The record with a line for later, in a group: a night, or a run.

    :param most: how many groups are kept; the oldest goes.
    """
    groups = {name: dict(_mapping(lines)) for name, lines in record.items()}
    lines = groups.pop(group, {})
    if key not in lines and _CLOSED not in lines:
        lines[key] = line if sum(bool(held) for held in lines.values()) < MOST_LINES else ""
    # A group that is written to is the newest.
    return dict([*groups.items(), (group, lines)][-most:])


def closed(record: Record, group: str, *, empty: bool = False) -> Record:
    """The record with a group that takes no more lines, for it is being told.

    :param empty: that it has been told.
    """
    lines = {} if empty else _mapping(record.get(group))
    return {**record, group: {**lines, _CLOSED: ""}}


def is_closed(record: Record, group: str) -> bool:
    """Whether a group takes no more lines."""
    return _CLOSED in _mapping(record.get(group))


def lines_of(record: Record, group: str) -> tuple[list[str], int]:
    """The lines that are kept of a group, and how many there were in all."""
    lines = _mapping(record.get(group))
    return [str(line) for line in lines.values() if line], len(lines) - (_CLOSED in lines)


def gathered(record: Record, is_over: Callable[[str], bool]) -> Record:
    """The record with the groups that are over as batches, named by what is in them: no line is added to one."""
    found: Record = {}
    for group, lines in record.items():
        gathers = lines and not is_batch(group) and is_over(group)
        found[f"{group}/{digest(*sorted(_mapping(lines)))[:12]}" if gathers else group] = lines
    return found


def is_batch(group: str) -> bool:
    """Whether a group is a batch."""
    return "/" in group


def night_of(group: str) -> str:
    """The group that a batch was made of; the group itself where it is none."""
    return group.partition("/")[0]


def without_group(record: Record, group: str) -> Record:
    """The record without a group."""
    return {name: lines for name, lines in record.items() if name != group}


def _episodes(record: Record) -> dict[str, Episode]:
    found = {}
    for name, held in _mapping(record.get("episodes")).items():
        one = _mapping(held)
        events = one.get("events")
        if isinstance(one.get("id"), str) and isinstance(events, list):
            found[name] = Episode(
                one["id"],
                _number(one.get("first")),
                tuple(map(str, events)),
                int(_number(one.get("message"))),
                _number(one.get("last")),
            )
    return found


def _json(episode: Episode) -> dict[str, Any]:
    return {**vars(episode), "events": list(episode.events)}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
