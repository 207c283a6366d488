"""Where alerts are decided: what is wanted, how it is said, where it goes; and records that others write as well."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from airflow_provider_b24.chat import alerts
from airflow_provider_b24.chat.alerts import Event, Record, Rules
from airflow_provider_b24.chat.alerts_text import Wording
from airflow_provider_b24.chat.alerts_ways import ToDialog, ToPerson
from airflow_provider_b24.chat.delivery import Memory, Store
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.steps import Ask, Step, Wait

# After this pause it is looked whether a change of a record is still there, in seconds.
_SETTLES, _LONGEST_SETTLES = 0.3, 2.0
_MOST_MERGES = 10


class StoreFailedError(Bitrix24Error):
    """What is known of earlier alerts could not be read or written."""

    permanent = False


class AlertStore(Store, Protocol):
    """A store that can forget. It fails with a :class:`StoreFailedError`."""

    def forget(self, key: str, /) -> None:
        """Forget a value, if there is one."""


@dataclass(frozen=True)
class Desk:
    """Where alerts are decided: what is wanted, how it is said, where it goes, and what is known.

    :ivar place: tells this target from others.
    :ivar store: shared by all tasks and callbacks; None where there is none.
    :ivar alone: without such a store, what is kept of this one event.
    """

    rules: Rules
    wording: Wording
    way: ToDialog | ToPerson
    place: str
    store: AlertStore | None
    alone: Memory | None = None

    def key(self, *parts: object) -> str:
        """A name in the store."""
        return f"bitrix24_alerts_{alerts.digest(self.place, *parts)[:32]}"

    def record_key(self, event: Event) -> str:
        """Of what is known of a task or DAG."""
        return self.key("about", event.about)

    def digest_key(self, event: Event) -> str:
        """Of what tasks have left to the messages about their runs."""
        return self.key("digest", event.dag_id)

    @property
    def held_key(self) -> str:
        """Of what these quiet hours hold back: others have other hours, or other clocks."""
        quiet = self.rules.quiet
        return self.key("held", str(quiet), "" if quiet is None else str(quiet.zone))

    @property
    def unsent_key(self) -> str:
        """Of what could not be told, for the portal was not there."""
        return self.key("unsent")

    def nothing_to_say(self, event: Event) -> bool:
        """Whether a success follows no failure; read from the store, without the portal."""
        if event.kind not in ("success", "dag_success") or self.rules.successes:
            return False
        if self.store is None:
            return True
        if self.store.get(self.unsent_key):
            return False
        if self.rules.quiet is not None and self.store.get(self.held_key):
            return False
        collected = self.store.get(self.digest_key(event)) if self.rules.digest and not event.task_id else None
        if isinstance(collected, dict) and alerts.lines_of(collected, event.attempt)[1]:
            return False
        record = self.store.get(self.record_key(event))
        return not isinstance(record, dict) or not record.get("episodes")


def merge(peer: Peer, store: Store, key: str, change: Callable[[Record], Record]) -> Generator[Step, Any, Record]:
    """Change a record that others may be writing at the same time.

    :param change: what is to become of it; applied again, it changes nothing.
    :return: the record with the change.
    """
    changed: Record = {}
    for _ in range(_MOST_MERGES):
        began = peer.clock.monotonic()
        held = yield from record_of(store, key)
        changed = change(copy.deepcopy(held))
        if changed == held:
            break
        yield Ask(lambda: store.__setitem__(key, changed))  # noqa: B023 - asked at once
        # Who has read it before writes it no later than this, where all are as slow as this one.
        settles = min(_LONGEST_SETTLES, max(_SETTLES, 2 * (peer.clock.monotonic() - began)))
        # Those who write at the same moment do not go on in step.
        yield Wait(settles * (1 + peer.jitter()))
    return changed


def send_once(
    peer: Peer,
    desk: Desk,
    store: AlertStore,
    record_key: str,
    text: str,
    *,
    key: str,
    now: float,
    tag: str,
    reply_id: int | None = None,
) -> Generator[Step, Any, int]:
    """Send what several may want to send at the same moment.

    :param record_key: of the record that has the names of deliveries, to be forgotten some time.
    :param key: of the delivery.
    """
    if desk.way.keeps_entries:
        yield from merge_and_tidy(peer, store, record_key, partial(alerts.with_entry, key=key, at=now), now)
    memory = Memory(store, key, lasting=True, seed=key, crowded=True)
    return (yield from desk.way.send(peer, text, memory=memory, tag=tag, reply_id=reply_id))


def merge_and_tidy(
    peer: Peer, store: AlertStore, key: str, change: Callable[[Record], Record], now: float
) -> Generator[Step, Any, Record]:
    """Change a record, and forget deliveries in it that are long over."""
    record = yield from merge(peer, store, key, change)
    if gone := alerts.settled(record, now):
        yield Ask(lambda: [(store.forget(name), store.forget(f"{name}/claim")) for name in gone])  # type: ignore[func-returns-value]
        record = yield from merge(peer, store, key, lambda held: alerts.without_entries(held, gone))
    return record


def record_of(store: Store, key: str) -> Generator[Step, Any, Record]:
    """What is kept under a key."""
    held = yield Ask(lambda: store.get(key))
    return held if isinstance(held, dict) else {}
