from __future__ import annotations

import heapq
import itertools
import sys
import threading
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.ledger import MemoryLedger
from airflow_provider_b24.rest.pacing import PLANS, Plan, Turn
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Reply, Request
from airflow_provider_b24.rest.shared import SharedBucket
from airflow_provider_b24.rest.steps import Send, Wait
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.simulation import SimulatedPortal, World

PORTAL = Address("https", "acme.bitrix24.com")
HOOK = Webhook(PORTAL, "7", "s3cr3tc0de")


@pytest.mark.parametrize(("burst", "rate"), [(0, 2), (0.5, 2), (-1, 2), (50, 0), (50, -1), (float("nan"), 2)])
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


def peer(world: World, **options: Any) -> Peer:
    return Peer(HOOK, **{"plan": Plan(50, 2), "clock": world.clock, "jitter": lambda: 0.5, **options})


def test_200_calls_at_once_are_not_refused_and_take_no_longer_than_they_must() -> None:
    portal = SimulatedPortal()
    world = World(lambda now, request: portal.answer(now))
    shared = peer(world)
    for _ in range(200):
        world.start(converse(shared, Call("crm.item.add")))
    seconds = world.run()
    assert world.outcomes == [Reply(True)] * 200
    assert portal.refused == 0
    assert 75.0 <= seconds <= 1.05 * 75.0


@pytest.mark.parametrize("counts_refused", [False, True])
@pytest.mark.parametrize("readers", [2, 4, 8])
def test_readers_who_do_not_know_of_each_other_all_finish(readers: int, *, counts_refused: bool) -> None:
    portal = SimulatedPortal(counts_refused=counts_refused)
    world = World(lambda now, request: portal.answer(now))
    calls = 100

    def read(reader: Peer, left: int) -> None:
        if left:
            world.start(converse(reader, Call("crm.item.list")), lambda: read(reader, left - 1))

    for _ in range(readers):
        read(peer(world), calls)
    seconds = world.run()
    assert world.outcomes == [Reply(True)] * (readers * calls)
    ideal = (readers * calls - 50) / 2
    assert seconds <= 2.5 * ideal
    assert portal.refused <= readers * calls


@pytest.mark.parametrize("counts_refused", [False, True])
def test_two_programs_with_a_hundred_calls_at_once_finish(*, counts_refused: bool) -> None:
    portal = SimulatedPortal(counts_refused=counts_refused)
    world = World(lambda now, request: portal.answer(now))
    for program in [peer(world) for _ in range(2)]:
        for _ in range(100):
            world.start(converse(program, Call("crm.item.add")))
    assert world.run() <= 500.0
    assert world.outcomes == [Reply(True)] * 200


@pytest.mark.parametrize("counts_refused", [False, True])
def test_a_reader_finishes_beside_a_program_that_takes_most_of_the_limit(*, counts_refused: bool) -> None:
    portal = SimulatedPortal(counts_refused=counts_refused)
    world = World(lambda now, request: portal.answer(now))

    def steady() -> Generator[Any, Any, Any]:
        for _ in range(3000):
            yield Send(Request("POST", "", {}, b""))
            yield Wait(1 / 1.5)

    world.start(steady())
    reader = peer(world)
    ended: list[float] = []

    def read(left: int) -> None:
        if left:
            world.start(converse(reader, Call("crm.item.list")), lambda: read(left - 1))
        else:
            ended.append(world.clock.now)

    read(200)
    world.run()
    assert world.outcomes.count(Reply(True)) == 200
    # alone with what the other leaves it would take 300 s
    assert ended[0] <= 600.0


def test_a_call_gives_up_when_limits_have_taken_too_long() -> None:
    portal = SimulatedPortal(burst=0)
    for plan in (None, Plan(50, 2)):
        world = World(lambda now, request: portal.answer(now))
        one = peer(world, plan=plan, patience=Patience(limits=100.0))
        world.start(converse(one, Call("crm.item.add")))
        assert 30.0 < world.run() <= 101.0
        (error,) = world.outcomes
        assert type(error).__name__ == "QueryLimitError"


def sent(world: World, priority: Priority, times: int, log: list[tuple[float, str]], name: str = "") -> None:
    """So many calls at once, of a program of their own; each notes when it was answered."""
    program = peer(world, ledger=world_ledger(world))
    for number in range(times):
        label = f"{name or priority.value} {number}"
        world.start(
            converse(program, Call("crm.item.add", priority=priority)),
            lambda label=label: log.append((world.clock.now, label)),  # type: ignore[misc]
        )


def world_ledger(world: World) -> MemoryLedger:
    """One for all programs of a world."""
    found: MemoryLedger = world.__dict__.setdefault("ledger", MemoryLedger(world.clock.monotonic))
    return found


@pytest.mark.parametrize("priority", [Priority.WORK, Priority.BULK])
def test_those_who_wait_are_served_in_order_and_at_the_full_rate(priority: Priority) -> None:
    portal, answers = SimulatedPortal(), list[tuple[float, str]]()
    world = World(lambda now, request: portal.answer(now))
    sent(world, priority, 200, answers)
    assert world.run() <= 1.05 * 75.0
    assert [label for _, label in answers] == [f"{priority.value} {number}" for number in range(200)]
    assert portal.refused == 0


def test_work_that_comes_later_goes_before_bulk_that_waits() -> None:
    portal, answers = SimulatedPortal(), list[tuple[float, str]]()
    world = World(lambda now, request: portal.answer(now))
    sent(world, Priority.BULK, 200, answers)
    for second in (10, 20, 30):
        world.at(second + 0.2, lambda second=second: sent(world, Priority.WORK, 3, answers, f"work at {second}"))  # type: ignore[misc]
    seconds = world.run()
    order = [label for _, label in answers]
    assert portal.refused == 0
    # the work takes nothing from the rate, and the bulk keeps its own order
    assert seconds <= 1.05 * (209 - 50) / 2
    assert [label for label in order if label.startswith("bulk")] == [f"bulk {number}" for number in range(200)]
    for second in (10, 20, 30):
        mine = [(when, label) for when, label in answers if label.startswith(f"work at {second}")]
        first = order.index(mine[0][1])
        assert order[first : first + 3] == [label for _, label in mine]
        # at the most what was reserved before it is sent first: half a second's worth, and the one that is on its way
        assert mine[0][0] <= second + 0.2 + 1.5


def test_bulk_gets_on_beside_work_that_leaves_it_some_of_the_rate() -> None:
    portal, answers = SimulatedPortal(), list[tuple[float, str]]()
    world = World(lambda now, request: portal.answer(now))
    sent(world, Priority.BULK, 100, answers)
    for number in range(150):
        world.at(number * 0.6, lambda: sent(world, Priority.WORK, 1, answers))
    world.run()
    assert portal.refused == 0
    assert [label for _, label in answers][:100].count("work 0") >= 10
    bulk = [when for when, label in answers if label.startswith("bulk")]
    assert len(bulk) == 100
    # 250 in all; and nobody waits for what the other does not use
    assert answers[-1][0] <= 1.1 * (250 - 50) / 2


@pytest.mark.parametrize("dead", [1, 10, 500])
@pytest.mark.parametrize("living", ["work and bulk", "bulk"])
@pytest.mark.parametrize("priority", [Priority.WORK, Priority.BULK])
def test_those_who_died_while_they_waited_stop_nobody(dead: int, living: str, priority: Priority) -> None:
    portal = SimulatedPortal()
    world = World(lambda now, request: portal.answer(now))
    died = peer(world, ledger=world_ledger(world))
    for _ in range(48 + dead):
        died.bucket.draw(priority)  # type: ignore[union-attr]
    # The portal has seen what was sent before they died.
    for _ in range(48):
        portal.answer(0.0)
    answers = list[tuple[float, str]]()
    sent(world, Priority.WORK if "work" in living else Priority.BULK, 20, answers)
    sent(world, Priority.BULK, 20, answers)
    world.at(100.0, lambda: sent(world, Priority.WORK, 1, answers, "late"))
    world.run()
    assert portal.refused == 0
    assert len(answers) == 41
    # 40 requests at 2 a second, and some seconds until it is clear that nobody comes
    assert answers[39][0] <= 20.0 + 8.0
    assert answers[40][0] <= 100.5


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


def test_who_gives_up_its_place_lets_those_behind_move_up() -> None:
    bucket = Drawn(Plan(50, 2))
    tickets = [bucket.draw(0.0).ticket for _ in range(100)]
    for ticket in tickets[50:99]:
        assert bucket.draw(0.0, ticket=ticket, at_most=0.0).ticket is None
    assert bucket.draw(0.0, ticket=tickets[99]).whole == 1.5


def test_the_dead_among_the_living_are_passed_over() -> None:
    """A process that is killed has had its calls between those of others."""
    portal = SimulatedPortal()
    world = World(lambda now, request: portal.answer(now))
    answers = list[tuple[float, str]]()
    died = peer(world, ledger=world_ledger(world))
    for number in range(150):
        sent(world, Priority.WORK, 1, answers, f"{number} of the living")
        world.at(0.0, died.bucket.draw)  # type: ignore[union-attr, arg-type]
    world.run()
    assert portal.refused == 0
    assert len(answers) == 150
    # Of the 300, at least the 24 first dead have taken requests with them; it takes as if they all lived at the most.
    assert answers[-1][0] <= (300 - 50) / 2


def test_a_call_that_gives_up_leaves_no_debt() -> None:
    portal = SimulatedPortal()
    world = World(lambda now, request: portal.answer(now))
    answers = list[tuple[float, str]]()
    hasty = peer(world, ledger=world_ledger(world), patience=Patience(limits=10.0))
    for _ in range(300):
        world.start(converse(hasty, Call("crm.item.add")))
    world.at(10.5, lambda: sent(world, Priority.WORK, 1, answers))
    world.run()
    assert 64 <= world.outcomes.count(Reply(True)) <= 71
    assert answers[0][0] <= 12.5
    assert portal.refused == 0


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


def test_no_pause_is_no_endless_loop() -> None:
    portal = SimulatedPortal(burst=0)
    world = World(lambda now, request: portal.answer(now))
    eager = Peer(HOOK, clock=world.clock, patience=Patience(pause=0.0, limits=30.0))
    world.start(converse(eager, Call("profile")))
    world.run()
    assert portal.refused <= 62
