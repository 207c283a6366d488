from __future__ import annotations

import heapq
import itertools
import math
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.ledger import MemoryLedger
from airflow_provider_b24.rest.pacing import PLANS, Plan, Turn
from airflow_provider_b24.rest.protocol import Priority
from airflow_provider_b24.rest.shared import SharedBucket
from tests.unit.rest.clocks import FakeClock

PORTAL = Address("https", "acme.bitrix24.com")


@pytest.mark.parametrize(("burst", "rate"), [(0.5, 2), (-1, 2), (50, 0), (50, -1), (math.nan, 2), (math.inf, 2)])
def test_no_plan(burst: float, rate: float) -> None:
    with pytest.raises(ConfigurationError):
        Plan(burst, rate)


def test_the_vendors_plans() -> None:
    assert dict(PLANS) == {"standard": Plan(50, 2), "enterprise": Plan(250, 5), "unlimited": None}


class Drawn:
    """A bucket at the times that the test names."""

    def __init__(self, plan: Plan) -> None:
        self.clock = FakeClock(now=0.0)
        self.shared = SharedBucket(MemoryLedger(self.clock.monotonic), PORTAL, plan)

    def draw(self, now: float, priority: Priority = Priority.WORK, **options: Any) -> Turn:
        self.clock.now = now
        return self.shared.draw(priority, **options)

    def wait(self, now: float) -> float:
        """Until the request would be sent."""
        return self.draw(now).whole

    def signal(self, now: float) -> bool:
        return self.draw(now, Priority.TYPING).ready

    def refused(self, now: float) -> None:
        self.clock.now = now
        self.shared.refused()


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    bucket = Drawn(Plan(50, 2))
    turns = [bucket.draw(100.0) for _ in range(70)]
    # two requests less than the plan's 50: they need not arrive as evenly as they were sent, and one is for typing
    assert [turn.whole for turn in turns] == [0.0] * 48 + [number / 2 for number in range(1, 23)]
    # what is due next is reserved, and the others come again when it is their turn, or to see whether somebody is gone
    assert [turn.ready for turn in turns] == [True] * 49 + [False] * 21
    assert turns[48] == Turn(ready=True, wait=0.5, whole=0.5)
    assert [turn.wait for turn in turns[49:53]] == [0.5, 1.0, 1.5, 2.0]
    assert all(2.0 < turn.wait <= 5.0 for turn in turns[53:])


def test_the_bucket_empties_with_time() -> None:
    bucket = Drawn(Plan(50, 2))
    for _ in range(48):
        assert bucket.wait(0.0) == 0.0
    assert bucket.wait(10.0) == 0.0
    for _ in range(19):
        assert bucket.wait(10.0) == 0.0
    assert bucket.wait(10.0) == 0.5
    assert bucket.wait(800.0) == 0.0


def test_a_clock_that_goes_back_changes_nothing() -> None:
    bucket = Drawn(Plan(4, 1))
    assert [bucket.wait(10.0), bucket.wait(5.0), bucket.wait(10.0)] == [0.0, 0.0, 1.0]


def test_a_refusal_fills_the_bucket_and_halves_the_pace() -> None:
    bucket = Drawn(Plan(50, 2))
    bucket.refused(0.0)
    assert bucket.draw(0.0) == Turn(ready=True, wait=1.0, whole=1.0, slow=True)
    bucket.refused(1.0)
    assert bucket.wait(1.0) == 2.0


def test_refusals_of_requests_under_way_together_halve_the_pace_once() -> None:
    bucket = Drawn(Plan(50, 2))
    for _ in range(40):
        bucket.refused(0.5)
    assert bucket.wait(0.5) == 1.0


def test_after_a_refusal_nothing_is_left_for_signals_either() -> None:
    bucket = Drawn(Plan(50, 2))
    bucket.refused(0.0)
    assert [second for second in range(12) if bucket.signal(float(second))] == [5, 10]


def test_the_pace_never_falls_to_nothing_and_recovers() -> None:
    bucket = Drawn(Plan(50, 2))
    for second in range(0, 3200, 32):
        bucket.refused(second)
    assert bucket.draw(3168.0).wait == 32.0
    bucket.refused(3300.0)
    for _ in range(100):
        bucket.shared.accepted()
    assert bucket.draw(3300.0) == Turn(ready=True, wait=0.5, whole=0.5)


def test_what_was_learned_is_forgotten_in_time() -> None:
    bucket = Drawn(Plan(50, 2))
    bucket.refused(0.0)
    assert bucket.draw(900.0).slow
    assert not bucket.draw(1801.0).slow


@pytest.mark.parametrize(("burst", "free", "spare"), [(1, 1, 0), (2, 1, 1), (3, 1, 1), (50, 36, 1), (250, 186, 1)])
def test_when_signals_are_skipped(burst: float, free: int, spare: int) -> None:
    bucket = Drawn(Plan(burst, 2))
    assert sum(bucket.signal(0.0) for _ in range(400)) == free + spare
    assert bucket.signal(800.0)


def test_work_that_needs_every_request_leaves_one_for_a_signal() -> None:
    bucket, now, late = Drawn(Plan(50, 2)), 0.0, 0.0
    signals: list[float] = []
    ticket: int | None = None
    while now < 600:
        turn = bucket.draw(now, ticket=ticket)
        now, ticket = now + turn.wait, turn.ticket
        if now >= (signals[-1] if signals else 0) + 12:
            assert bucket.signal(now)
            assert not bucket.signal(now + 4.9)
            signals.append(now)
        late = max(late, now - (signals[-1] if signals else 0))
    assert len(signals) >= 48
    assert late < 13


def test_a_signal_in_a_long_queue_makes_all_who_wait_later() -> None:
    bucket = Drawn(Plan(50, 2))
    tickets = [bucket.draw(0.0).ticket for _ in range(148)]
    assert bucket.draw(0.0, ticket=tickets[-1]).whole == 50.0
    assert bucket.signal(0.0)
    assert bucket.draw(0.0, ticket=tickets[-1]).whole == 50.5


@given(
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from(Priority)), max_size=200), st.floats(1, 100), st.floats(0.1, 10)
)
def test_what_waits_as_told_is_never_refused(draws: list[tuple[float, Priority]], burst: float, rate: float) -> None:
    """Neither work nor bulk nor signals, and work is sent in its order, and so is bulk."""
    bucket = Drawn(Plan(burst, rate))
    sent: dict[Priority, list[tuple[float, int]]] = {priority: [] for priority in Priority}
    agenda: list[tuple[float, int, Priority, int | None]] = []
    now = 0.0
    for number, (pause, priority) in enumerate(draws):
        now += pause
        agenda.append((now, number, priority, None))
    while agenda:
        now, number, priority, ticket = heapq.heappop(agenda)
        turn = bucket.draw(now, priority, ticket=ticket)
        if turn.ready:
            sent[priority].append((now + turn.wait, number))
        elif priority is not Priority.TYPING:
            assert turn.wait > 0
            heapq.heappush(agenda, (now + turn.wait, number, priority, turn.ticket))
    for priority in (Priority.WORK, Priority.BULK):
        assert [number for _, number in sorted(sent[priority])] == sorted(number for _, number in sent[priority])
    assert sum(map(len, sent.values())) >= sum(priority is not Priority.TYPING for _, priority in draws)
    level = at = 0.0
    for when, _ in sorted(itertools.chain(*sent.values())):
        level = max(0.0, level - (when - at) * rate) + 1
        at = when
        assert level <= max(2.0, burst) + 1e-5


def test_threads_that_draw_at_once_lose_no_draw() -> None:
    bucket = SharedBucket(MemoryLedger(lambda: 0.0), PORTAL, Plan(1, 1e-9))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [bucket.draw() for _ in range(2000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert bucket.draw().whole * 1e-9 == pytest.approx(8000)


def test_the_bucket_is_that_of_the_portal() -> None:
    ledger = MemoryLedger(lambda: 0.0)

    def wait(scheme: str, host: str, port: int | None = None, plan: Plan = Plan(1, 2)) -> float:  # noqa: B008
        return SharedBucket(ledger, Address(scheme, host, port), plan).draw().whole

    assert [wait("https", "a.example"), wait("https", "A.example", 443), wait("https", "b.example")] == [0.0, 0.5, 0.0]
    assert wait("https", "a.example", 8443) == 0.0
    # Two opinions of the plan: one level, seen by each with its own.
    assert wait("https", "a.example", plan=Plan(50, 2)) == 0.0
    assert wait("https", "a.example", plan=Plan(1, 0.5)) == 6.0


def test_who_waits_farther_behind_believes_later_that_nobody_comes() -> None:
    bucket = Drawn(Plan(50, 2))
    for _ in range(49):
        bucket.draw(0.0)
    first, second, *_, last = [bucket.draw(0.0).ticket for _ in range(200)]
    # It is the first one's turn at 0.5 s.
    assert not bucket.draw(0.9, ticket=second).ready
    assert not bucket.draw(4.0, ticket=last).ready
    assert bucket.draw(4.0, ticket=second).ready
    assert bucket.draw(4.0, ticket=first).ready
    assert not bucket.draw(8.0, ticket=last).ready
    assert bucket.draw(9.5, ticket=last).ready


def test_who_comes_late_takes_no_place_from_those_behind() -> None:
    """Bulk that comes after one that was behind it, and finds work before it that is gone."""
    bucket = Drawn(Plan(50, 2))
    for _ in range(49):
        bucket.draw(0.0)
    late, *_, last = [bucket.draw(0.0, Priority.BULK).ticket for _ in range(10)]
    assert bucket.draw(9.0, Priority.BULK, ticket=last).ready
    for _ in range(80):
        bucket.draw(9.0)
    assert bucket.draw(19.0, Priority.BULK, ticket=late).ready
    while (work := bucket.draw(19.0)).ready:
        pass
    # Before it are that work, and eight of the ten.
    assert bucket.draw(19.0, Priority.BULK).whole == work.whole + 9 * 0.5


def test_who_gives_up_its_place_lets_those_behind_move_up() -> None:
    bucket = Drawn(Plan(50, 2))
    tickets = [bucket.draw(0.0).ticket for _ in range(100)]
    for ticket in tickets[50:99]:
        assert bucket.draw(0.0, ticket=ticket, at_most=0.0).ticket is None
    assert bucket.draw(0.0, ticket=tickets[99]).whole == 1.5


def test_a_signal_that_is_skipped_leaves_no_debt() -> None:
    bucket = Drawn(Plan(50, 2))
    for _ in range(48):
        bucket.draw(0.0)
    assert [bucket.signal(0.0) for _ in range(100)] == [True] + [False] * 99
    assert bucket.wait(0.0) == 1.0


def test_a_pace_that_falls_makes_nobody_give_up_who_may_still_be_served() -> None:
    bucket = Drawn(Plan(50, 2))
    for _ in range(48):
        bucket.draw(0.0)
    for second in (0.0, 10.0, 30.0, 70.0):
        bucket.refused(second)
    # 1/8 a second: 100 in front would take 800 s as it is now, and 50 s if all were well
    tickets = [bucket.draw(70.0, at_most=100.0).ticket for _ in range(102)]
    assert all(ticket is not None for ticket in tickets[2:])
    assert bucket.draw(70.0, ticket=tickets[-1], at_most=100.0).whole > 700.0
