"""Calls of many programs on one request limit, in simulated time: who is served when, and what is left of the dead."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.ledger import MemoryLedger
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Reply, Request
from airflow_provider_b24.rest.steps import Send, Wait
from tests.unit.rest.simulation import SimulatedPortal, World

HOOK = Webhook(Address("https", "acme.bitrix24.com"), "7", "s3cr3tc0de")


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


def test_no_pause_is_no_endless_loop() -> None:
    portal = SimulatedPortal(burst=0)
    world = World(lambda now, request: portal.answer(now))
    eager = Peer(HOOK, clock=world.clock, patience=Patience(pause=0.0, limits=30.0))
    world.start(converse(eager, Call("profile")))
    world.run()
    assert portal.refused <= 62
