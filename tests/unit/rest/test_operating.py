"""The execution time of methods: the arithmetic, a portal that bills by the vendor's rules, and what others learn."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.credentials import MemoryTokenStore, OAuthApp, Tokens, Webhook
from airflow_provider_b24.rest.errors import OperatingLimitError
from airflow_provider_b24.rest.ledger import HostLedger, MemoryLedger
from airflow_provider_b24.rest.operating import Account, OperatingBudget, name_of, resets_in
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Request, Response
from airflow_provider_b24.testing.limits import OperatingBudget as PortalsBudget
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.simulation import World, error, reply

LIMIT = 480.0
ADDRESS = Address("https", "acme.bitrix24.com")
HOOK = Webhook(ADDRESS, "7", "s3cr3tc0de")
READ = Call("crm.item.list")
ANOTHER = Call("crm.deal.list")


def account(*notes: tuple[float, float, float | None]) -> Account:
    """An account that was told, at a time, of so many seconds, and in how many the oldest fall away."""
    made = Account()
    for at, operating, left in notes:
        made.note(at, operating, left)
    return made


# one account


@pytest.mark.parametrize("used", [0.0, 1.0, 300.0, 384.0])
def test_far_from_the_limit_nothing_waits(used: float) -> None:
    one = account((1000, used, 500))
    assert one.wait(1000, LIMIT) == 0
    assert not one.take(1000, LIMIT)
    assert one.wait(1000, LIMIT) == 0


def test_above_the_limit_the_wait_is_until_the_reset() -> None:
    one = account((1000, 480.5, 437))
    # It is told in whole seconds.
    assert one.wait(1000, LIMIT) == 438
    assert one.wait(1400, LIMIT) == 38
    assert one.wait(1438, LIMIT) == 0
    assert account((1000, 480.0, 437)).wait(1000, LIMIT) == 0


def test_what_has_fallen_away_is_known_by_minutes() -> None:
    # 200 s in each of the first three minutes: the limit is passed with the third.
    one = account((0, 200, 600), (60, 400, 540), (120, 600, 480))
    assert one.wait(120, LIMIT) == 481
    assert one.used(602) == 400
    assert one.used(663) == 200
    assert one.used(724) == 0


def test_one_reset_need_not_be_enough() -> None:
    one = account((0, 30, 600), (120, 590, 480))
    # The oldest 30 s fall away at 601 and leave 560; the others fall at 721.
    assert one.wait(120, LIMIT) == 601


def test_what_others_have_used_before_belongs_to_the_oldest_part() -> None:
    one = account((1000, 300, 100), (1101, 290, 60))
    assert one.used(1101) == 290
    assert one.used(1162) == 0


def test_less_than_was_known_has_fallen_away_from_the_oldest() -> None:
    one = account((0, 200, 600), (60, 400, 540), (70, 210, 590))
    assert one.used(70) == 210
    assert one.used(662) == 0


def test_a_reset_that_is_not_known_is_waited_for_by_minutes() -> None:
    one = account((1000, 500, None))
    assert one.wait(1000, LIMIT) == 60
    one.note(1030, 510, None)
    assert one.wait(1030, LIMIT) == 30
    assert one.wait(1060, LIMIT) == 0


# slowing down


def test_from_80_percent_on_the_pauses_grow() -> None:
    gaps = []
    for used in (380, 390, 420, 450, 470, 479):
        one = account((0, used - 1, 300), (10, used, 290))
        one.take(10, LIMIT)
        gaps.append(one.wait(10, LIMIT))
    assert gaps[0] == 0
    assert gaps == sorted(gaps)
    # 1 s a call, 90 s left for 291 s: one call in 3.2 s.
    assert gaps[1] == pytest.approx(291 / 90)
    assert gaps[-1] == 30


def test_a_method_that_costs_more_is_called_less() -> None:
    dear, cheap = account((0, 380, 300), (10, 400, 290)), account((0, 399.9, 300), (10, 400, 290))
    for one in (dear, cheap):
        assert one.take(10, LIMIT)
    assert dear.wait(10, LIMIT) == 30
    assert cheap.wait(10, LIMIT) == pytest.approx(0.1 * 291 / 80, abs=0.01)


def test_what_several_calls_cost_is_shared_by_them() -> None:
    one = account((0, 380, 300))
    one.note(10, 400, 290, calls=20)
    one.take(10, LIMIT)
    assert one.wait(10, LIMIT) == pytest.approx(291 / 80)
    assert one.cost == 1.0


# refusals


def test_a_refusal_closes_until_the_oldest_part_falls_away() -> None:
    one = account((1000, 30, 400))
    assert one.refused(1000, None) == 401
    assert one.wait(1000, LIMIT) == 401
    assert one.wait(1401, LIMIT) == 0
    # Nothing is known any more: in a minute something may have fallen away.
    assert one.refused(1401, None) == 60


def test_a_refusal_says_itself_how_long() -> None:
    one = account((1000, 30, 400))
    assert one.refused(1000, 7) == 7
    assert one.refused(1000, 999_999) == 999_999
    assert one.wait(1000, LIMIT) == 3600


# what is written down


def test_an_account_is_read_as_it_was_written() -> None:
    one = account((0, 200, 600), (60, 400, 540), (70, 410, 530))
    one.take(70, LIMIT)
    one.refused(70, 9)
    again = Account.load(one.dump(), 71)
    assert json.loads(again.dump()) == json.loads(one.dump())
    assert again.wait(71, LIMIT) == one.wait(71, LIMIT) > 0


@pytest.mark.parametrize(
    "record",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"parts":5}',
        b'{"parts":[[1]]}',
        b'{"parts":[["a","b"]]}',
        b'{"parts":[[NaN,NaN],[Infinity,1],[1060,Infinity],[1060,-5],[99999,9]]}',
        b'{"closed_until":NaN,"free_at":Infinity,"cost":"x"}',
        b'{"closed_until":99999,"free_at":99999}',
        b'{"last":[]}',
        b"\xff",
    ],
)
def test_what_can_not_be_is_not_read(record: bytes | None) -> None:
    one = Account.load(record, 1000)
    assert one.used(1000) == 0
    assert one.wait(1000, LIMIT) == 0
    json.loads(one.dump())


_seconds = st.floats(min_value=0, max_value=1e15)
_notes = st.lists(st.tuples(st.floats(0, 300), _seconds, st.none() | st.floats(1e-6, 660)), max_size=40)


@given(_notes, st.integers(0, 3))
def test_whatever_a_portal_says_the_wait_is_finite_and_ends(notes: Any, refusals: int) -> None:
    one, now = Account(), 1000.0
    for pause, operating, left in notes:
        now += pause
        one.note(now, operating, left)
        assert one.used(now) == pytest.approx(min(operating, 36_000), abs=1e-3)
        one.take(now, LIMIT)
    for _ in range(refusals):
        one.refused(now, None)
    assert len(one.dump()) < 2000
    assert 0 <= one.wait(now, LIMIT) <= 663
    assert Account.load(one.dump(), now + 1400).wait(now + 1400, LIMIT) == 0


@pytest.mark.parametrize(
    ("reset_at", "finished_at", "left"),
    [
        (1500, 1000, 500),
        (1500, None, 100),
        (1600, 1000, 600),
        # The portal's clock, not ours.
        (501_500, 501_000, 500),
        # What can not be.
        (None, 1000, None),
        (1000, 1000, None),
        (900, 1000, None),
        (5000, 1000, None),
        (1e14, 1000, None),
        (-1, 1000, None),
        (math.nan, 1000, None),
    ],
)
def test_when_the_reset_comes(reset_at: float | None, finished_at: float | None, left: float | None) -> None:
    assert resets_in(reset_at, finished_at, 1400) == left


# whose account it is


def test_the_name_tells_credentials_apart_and_nothing_of_the_secret() -> None:
    app = OAuthApp(ADDRESS, "local.app", "cl13nts3cr3t")
    others: list[Webhook | OAuthApp] = [
        Webhook(ADDRESS, "8", "s3cr3tc0de"),
        Webhook(ADDRESS, "7", "an0therc0de"),
        Webhook(Address("https", "other.bitrix24.com"), "7", "s3cr3tc0de"),
        app,
        OAuthApp(ADDRESS, "local.other", "cl13nts3cr3t"),
        Webhook(ADDRESS, "7", "x" * 200),
    ]
    names = {name_of(one) for one in (HOOK, *others)}
    assert len(names) == 7
    assert name_of(HOOK) == name_of(Webhook(ADDRESS, "7", "s3cr3tc0de"))
    assert name_of(app) == name_of(OAuthApp(ADDRESS, "local.app", "another"))
    assert all(len(name) == 16 and name.isalnum() for name in names)


# a portal that bills


class BillingPortal:
    """The fake portal's budget behind a simulated wire."""

    def __init__(self, world: World, *, cost: float = 20.0, ahead: float = 0.0) -> None:
        self.budget = PortalsBudget(LIMIT, lambda: world.clock.time() + ahead)
        self.cost = cost
        self.taken: list[float] = []
        self.refused = 0
        self._now: Callable[[], float] = lambda: world.clock.now
        self._time: Callable[[], float] = lambda: world.clock.time() + ahead

    def answer(self, now: float, request: Request) -> Response:
        method = request.url.rsplit("/", 1)[1]
        if self.budget.exceeded("caller", method):
            self.refused += 1
            return error(429, "OPERATION_TIME_LIMIT")
        self.taken.append(self._now())
        self.budget.spend("caller", method, self.cost)
        spent = {
            "operating": self.budget.operating("caller", method),
            "operating_reset_at": self.budget.reset_at("caller", method),
            "finish": self._time(),
        }
        return reply(True, time=spent)


def world_of(**options: Any) -> tuple[World, BillingPortal]:
    world = World(lambda now, request: portal.answer(now, request))  # noqa: PLW0108 - it is made below
    portal = BillingPortal(world, **options)
    return world, portal


def peer(world: World, ledger: Any = None, **patience: Any) -> Peer:
    return Peer(HOOK, clock=world.clock, ledger=ledger, jitter=lambda: 0.5, patience=Patience(**patience))


PATIENT: dict[str, Any] = {"operating": 1e9, "limits": 1e9}


@pytest.mark.parametrize("ahead", [0.0, 7200.0, -86_400.0], ids=["right", "ahead", "behind"])
@pytest.mark.parametrize("cost", [0.7, 20.0, 45.0])
def test_hours_of_calls_one_after_the_other_are_never_refused(cost: float, ahead: float) -> None:
    world, portal = world_of(cost=cost, ahead=ahead)
    one = peer(world, **PATIENT)
    calls = round(4 * LIMIT / cost)

    def go_on() -> None:
        if len(portal.taken) < calls:
            world.start(converse(one, READ), go_on)

    go_on()
    end = world.run()
    assert portal.refused == 0
    assert len(portal.taken) == calls
    # The last fifth of each ten minutes' budget is spread over what is left of them.
    assert end <= 4 * 600


def test_several_processes_share_what_they_learn() -> None:
    world, portal = world_of(cost=5.0)
    ledger = MemoryLedger(lambda: world.clock.now)
    done = [0] * 4

    def go_on(number: int) -> Callable[[], None]:
        def begin() -> None:
            if done[number] < 80:
                done[number] += 1
                # Each call by a process of its own, as those of tasks are.
                world.start(converse(peer(world, ledger, **PATIENT), READ), begin)

        return begin

    for number in range(4):
        go_on(number)()
    end = world.run()
    assert portal.refused == 0
    assert len(portal.taken) == 320
    assert end <= 4 * 600


def test_a_refusal_is_known_to_all() -> None:
    world, portal = world_of()
    ledger = MemoryLedger(lambda: world.clock.now)
    # Somebody with the same webhook, elsewhere.
    portal.budget.spend("caller", READ.method, 500)
    for _ in range(5):
        world.start(converse(peer(world, ledger, operating=0.0), READ))
        world.run()
    assert portal.refused == 1
    assert [type(outcome) for outcome in world.outcomes] == [OperatingLimitError] * 5
    assert world.outcomes[-1].retry_after == pytest.approx(60, abs=1)


def test_a_slowed_method_slows_no_other() -> None:
    world, _ = world_of(cost=30.0)
    one = peer(world, **PATIENT)
    for _ in range(16):
        world.start(converse(one, READ))
        world.run()
    began = world.clock.now
    for _ in range(5):
        world.start(converse(one, ANOTHER))
        world.run()
    assert world.clock.now - began == pytest.approx(0.5)
    world.start(converse(one, READ))
    world.run()
    assert world.clock.now - began >= 20


def test_some_calls_get_through_all_the_time() -> None:
    world, portal = world_of(cost=4.0)
    ledger = MemoryLedger(lambda: world.clock.now)
    heavy = peer(world, ledger, **PATIENT)

    def go_on() -> None:
        if world.clock.now < 1800:
            world.start(converse(heavy, READ), go_on)

    go_on()
    world.run()
    pauses = [later - earlier for earlier, later in zip(portal.taken, portal.taken[1:], strict=False)]
    assert max(pauses) <= 60
    assert portal.refused == 0


# what it costs


class CountingLedger:
    blocking = False

    def __init__(self) -> None:
        self.now = 0.0
        self.updates: list[str] = []
        self._ledger = MemoryLedger(lambda: self.now)

    def update(self, key: str, change: Any) -> Any:
        self.updates.append(key)
        return self._ledger.update(key, change)


def test_far_from_the_limit_the_ledger_is_asked_once_in_ten_seconds() -> None:
    ledger = CountingLedger()
    budget = OperatingBudget(ledger, "name")
    asked = 0
    for tenth in range(600):
        now = tenth / 10
        if not budget.is_calm("crm.item.get", now):
            asked += 1
            assert not budget.allowance("crm.item.get", now).wait
        if tenth % 250 == 0:
            assert budget.stays_calm("crm.item.get", now, 12.0, 300.0)
    assert asked == len(ledger.updates) == 5
    assert ledger.updates[0] == "operating.name.crm.item.get"


def test_replies_keep_a_method_calm_until_half_of_the_limit() -> None:
    budget = OperatingBudget(CountingLedger(), "name")
    budget.allowance("m", 0.0)
    assert budget.stays_calm("m", 5.0, 239.0, 300.0)
    assert budget.is_calm("M", 14.9)
    assert not budget.is_calm("M", 15.0)
    budget.allowance("m", 15.0)
    assert not budget.stays_calm("m", 16.0, 240.0, 300.0)
    budget.note("m", 240.0, 300.0)
    assert not budget.is_calm("m", 16.0)
    assert budget.allowance("m", 16.0).used == 240.0
    assert not budget.is_calm("m", 16.0)


def test_nothing_is_written_for_a_method_that_nobody_has_used_up(tmp_path: Any) -> None:
    ledger = HostLedger(str(tmp_path / "ledger"))
    one = Peer(Webhook(ADDRESS, "7", "s3cr3tc0de"), ledger=ledger, clock=FakeClock())
    assert one.budget.allowance("crm.item.get", 0.0).wait == 0
    (file,) = (tmp_path / "ledger").iterdir()
    assert not file.read_bytes()
    assert "s3cr3tc0de" not in file.name


def test_processes_of_a_host_share_it(tmp_path: Any) -> None:
    peers = [Peer(HOOK, ledger=HostLedger(str(tmp_path)), clock=FakeClock()) for _ in range(2)]
    peers[0].budget.note("crm.item.get", 500.0, 300.0)
    assert peers[1].budget.allowance("crm.item.get", 0.0).wait == pytest.approx(301, abs=1)


def test_an_application_is_one_account_whatever_its_tokens() -> None:
    ledger = MemoryLedger(lambda: 0.0)
    app = OAuthApp(ADDRESS, "local.app", "cl13nts3cr3t")
    peers = [Peer(app, tokens=MemoryTokenStore(Tokens(one, "r")), ledger=ledger) for one in "ab"]
    peers[0].budget.note("crm.item.get", 500.0, 300.0)
    assert peers[1].budget.allowance("crm.item.get", 0.0).wait == 301
