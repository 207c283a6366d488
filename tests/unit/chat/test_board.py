"""Many dialogs' signals in few requests, against a portal that writes down what it gets, and in time that leaps.

How batches look on the wire and what portals answer is tested over HTTP, in ``tests/portal``.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_b24.chat.board import SignalBoard, shared_board
from airflow_provider_b24.chat.rota import Lamp
from airflow_provider_b24.chat.signals import LASTS, LONGEST
from airflow_provider_b24.chat.typing import SIGNAL_PATIENCE, Bot, Light, signal
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.batch import BatchReply
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    Bitrix24Error,
    LowBucketError,
    NotSentError,
    OperatingLimitError,
    OutcomeUnknownError,
    QueryLimitError,
)
from airflow_provider_b24.rest.ledger import MemoryLedger
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.protocol import Call, Priority, Reply
from airflow_provider_b24.rest.shared import SharedBucket
from tests.unit.chat.loops import LoopClock, run_at_once


def dialog_of(call: Call) -> str:
    assert isinstance(call.params, dict)
    return str(call.params.get("DIALOG_ID") or call.params["dialogId"])


class Portal:
    """Stands in for an AsyncClient: takes ``answer`` seconds for each request.

    :ivar requests: time and dialogs of every request; a plain call as one text, a batch as a list.
    :ivar signals: when the portal took a dialog's signals.
    :ivar refused: what dialogs are answered with that it refuses.
    :ivar failure: what befalls whole requests, if anything.
    """

    def __init__(self, answer: float = 0.02) -> None:
        self.peer = SimpleNamespace(clock=LoopClock())
        self.answer = answer
        self.requests: list[tuple[float, str | list[str]]] = []
        self.signals: dict[str, list[float]] = defaultdict(list)
        self.refused: dict[str, Bitrix24Error] = {}
        self.failure: Callable[[list[str]], BaseException | None] = lambda dialogs: None
        self.closed = 0

    async def call(self, call: Call, *, patience: Any) -> Reply:
        dialog = dialog_of(call)
        await self._request(dialog, [dialog], patience)
        if dialog in self.refused:
            raise self.refused[dialog]
        return Reply(True)

    async def batch(self, calls: list[Call], *, patience: Any) -> BatchReply[Any]:
        dialogs = [dialog_of(call) for call in calls]
        await self._request(dialogs, dialogs, patience)
        reply: BatchReply[Any] = BatchReply()
        for index, dialog in enumerate(dialogs):
            if dialog in self.refused:
                reply.errors[index] = self.refused[dialog]
            else:
                reply.replies[index] = Reply(True)
        return reply

    async def _request(self, what: str | list[str], dialogs: list[str], patience: Any) -> None:
        assert patience is SIGNAL_PATIENCE
        at = self.peer.clock.monotonic()
        failure = self.failure(dialogs)
        if isinstance(failure, LowBucketError):
            raise failure
        self.requests.append((round(at, 3), what))
        await asyncio.sleep(self.answer)
        if failure is not None:
            raise failure
        for dialog in dialogs:
            if dialog not in self.refused:
                self.signals[dialog].append(at)

    async def aclose(self) -> None:
        self.closed += 1

    @property
    def sent(self) -> list[str | list[str]]:
        return [what for _, what in self.requests]

    def lit(self, dialog: str, start: float, end: float) -> float:
        """The share of this time in which the dialog was lit."""
        marks = [*self.signals[dialog], float("inf")]
        spans = ((max(start, at), min(end, at + LASTS, after)) for at, after in pairwise(marks))
        return sum(max(0.0, stop - begin) for begin, stop in spans) / (end - start)


def on(portal: Portal, seconds: float, *dialogs: str, later: float = 0.0, interval: float = 12.0) -> list[Lamp]:
    """Keep dialogs lit for so long, each beginning so much later than the one before."""
    lamps: list[Lamp] = []

    async def keep(board: SignalBoard, dialog: str, delay: float) -> None:
        await asyncio.sleep(delay)
        async with board.lamp(dialog, signal(dialog), Light(dialog, interval)) as lamp:
            lamps.append(lamp)
            await asyncio.sleep(seconds - delay)

    async def main() -> None:
        board = board_on(portal)
        await asyncio.gather(*(keep(board, dialog, later * number) for number, dialog in enumerate(dialogs)))
        await board.aclose()

    run_at_once(main())
    return lamps


def board_on(portal: Portal) -> SignalBoard:
    return SignalBoard(portal)  # type: ignore[arg-type]


def chats(count: int) -> list[str]:
    return [f"chat{number}" for number in range(1, count + 1)]


def test_a_bot_with_a_known_end_needs_a_request_for_50_dialogs_in_ten_minutes():
    portal = Portal()

    async def keep(board: SignalBoard, dialog: str) -> None:
        light = Light(dialog, until=1500)
        light.most = LONGEST
        async with board.lamp(dialog, signal(dialog, bot=Bot(101)), light):
            await asyncio.sleep(1500)

    async def main() -> None:
        board = board_on(portal)
        await asyncio.gather(*(keep(board, dialog) for dialog in chats(200)))
        await board.aclose()

    run_at_once(main())
    assert {len(times) for times in portal.signals.values()} == {3}
    # An account needs a signal every 12 s: 500 requests.
    assert len(portal.requests) == 3 * 200 / 50


def test_one_signal_goes_out_as_a_plain_call():
    portal = Portal()
    (lamp,) = on(portal, 30, "chat1")
    assert portal.requests == [(0.1, "chat1"), (12.1, "chat1"), (24.1, "chat1")]
    assert lamp.signals == 3


def test_signals_that_wait_together_share_a_request():
    portal = Portal()
    lamps = on(portal, 13, "chat1", "chat2", "chat3", later=0.02)
    assert portal.requests == [(0.1, ["chat1", "chat2", "chat3"]), (12.1, ["chat1", "chat2", "chat3"])]
    assert [lamp.signals for lamp in lamps] == [2, 2, 2]


def test_fifty_to_a_request_and_a_distance_between_them():
    portal = Portal()
    on(portal, 5, *chats(120))
    assert [(at, len(what)) for at, what in portal.requests] == [(0.1, 50), (0.7, 50), (1.3, 20)]
    assert [dialog for what in portal.sent for dialog in what] == chats(120)


def test_two_who_want_the_same_send_one():
    portal = Portal()
    lamps = on(portal, 13, "chat1", "chat1", "chat2")
    assert portal.sent == [["chat1", "chat2"]] * 2
    assert [lamp.signals for lamp in lamps] == [2, 2, 2]


def test_who_began_at_other_times_is_taken_along():
    portal = Portal()
    on(portal, 121, *chats(40), later=0.3)
    assert len(portal.requests) <= 20 + 121 / 12, "not 40 for each interval"
    assert [sorted(what) for what in portal.sent[-3:]] == [sorted(chats(40))] * 3
    assert all(portal.lit(dialog, 12.7, 121) == 1 for dialog in chats(40))


def test_whoever_is_switched_off_is_not_lit():
    portal = Portal()

    async def main() -> None:
        board = board_on(portal)
        async with board.lamp("chat1", signal("chat1"), Light("chat1")) as lamp:
            for seconds, lit in ((20, True), (50, False), (20, True)):
                lamp.switch(lit)
                await asyncio.sleep(seconds)
        await board.aclose()

    run_at_once(main())
    assert [at for at, _ in portal.requests] == [0.1, 12.1, 70.0, 82.0]


def test_it_goes_on_when_the_loop_was_idle():
    portal = Portal()

    async def main() -> None:
        board = board_on(portal)
        for dialog in ("chat1", "chat2"):
            async with board.lamp(dialog, signal(dialog), Light(dialog)):
                await asyncio.sleep(5)
            await asyncio.sleep(100)
        await board.aclose()

    run_at_once(main())
    assert portal.requests == [(0.1, "chat1"), (105.1, "chat2")]


# ---- failures


def test_the_failure_of_one_signal_is_only_its_own(caplog):
    portal = Portal()
    portal.refused = {"chat2": AccessDeniedError("Action unavailable", code="ACCESS_ERROR")}
    on(portal, 121, *chats(3))
    assert portal.sent == [["chat1", "chat2", "chat3"]] + [["chat1", "chat3"]] * 10, "it is not sent again"
    assert [record.message for record in caplog.records] == [
        "The typing indicator of chat2 could not be lit and is given up; the work goes on without it. "
        f"{portal.refused['chat2']}"
    ]


def test_a_signal_that_fails_for_the_moment_is_sent_again_sooner():
    portal = Portal()
    portal.refused = {"chat2": OutcomeUnknownError("Internal server error")}
    on(portal, 13, *chats(2))
    assert portal.requests == [
        (0.1, ["chat1", "chat2"]),
        (4.1, "chat2"),
        (8.1, ["chat2", "chat1"]),
        (12.1, "chat2"),
    ]


@pytest.mark.parametrize(
    "failure", [NotSentError("the connection was refused"), OutcomeUnknownError("no answer"), RuntimeError("s3cret")]
)
def test_one_lost_request_leaves_no_gap(caplog, failure):
    portal = Portal()
    portal.failure = lambda dialogs: failure if 12 < asyncio.get_running_loop().time() < 12.5 else None
    on(portal, 60, *chats(10))
    assert all(portal.lit(dialog, 1, 60) == 1 for dialog in chats(10))
    assert len(caplog.records) == 10
    assert "s3cret" not in caplog.text


def test_where_every_tenth_request_of_a_crowd_is_lost_there_is_hardly_a_gap():
    portal = Portal()
    lost = iter(range(10**6))

    def every_tenth(dialogs: list[str]) -> BaseException | None:
        portal.answer, failure = (
            (5.0, OutcomeUnknownError("no answer within 5 s")) if next(lost) % 10 == 7 else (0.2, None)
        )
        return failure

    portal.failure = every_tenth
    on(portal, 180, *chats(1000))
    shares = sorted(portal.lit(dialog, 30, 180) for dialog in chats(1000))
    assert shares[0] > 0.9, "some are lost twice in a row"
    assert shares[100] == 1


def test_a_portal_that_is_gone_is_not_stormed():
    portal = Portal(answer=5.0)
    portal.failure = lambda dialogs: OutcomeUnknownError("no answer within 5 s")
    on(portal, 600, *chats(1000))
    assert len(portal.requests) < 600 / 12 + 15

    portal = Portal()
    portal.failure = lambda dialogs: NotSentError("no connection") if asyncio.get_running_loop().time() < 300 else None
    on(portal, 400, *chats(1000))
    assert min(portal.lit(dialog, 330, 400) for dialog in chats(1000)) == 1, "it recovers"


def test_requests_that_take_too_long_become_smaller():
    portal = Portal()

    def by_size(dialogs: list[str]) -> BaseException | None:
        portal.answer = min(5.0, 0.2 * len(dialogs))
        return OutcomeUnknownError("no answer within 5 s") if portal.answer == 5 else None

    portal.failure = by_size
    on(portal, 120, *chats(100))
    assert min(portal.lit(dialog, 30, 120) for dialog in chats(100)) > 0.9


def test_what_nobody_foresaw_ends_nothing(caplog):
    portal = Portal()
    portal.failure = lambda dialogs: RuntimeError("s3cret") if asyncio.get_running_loop().time() < 3 else None
    on(portal, 30, *chats(2))
    assert [record.message.rpartition(". ")[2] for record in caplog.records] == ["unforeseen RuntimeError"] * 2
    assert len(portal.signals["chat1"]) >= 2


# ---- limits


def test_where_the_bucket_is_drained_nobody_is_lit_twice_before_all_are_once():
    portal = Portal()
    now, free = 0.0, 0.0
    bucket = SharedBucket(MemoryLedger(lambda: now), Address.of_url("https://example.bitrix24.com"), Plan(50, 2))

    def draw(dialogs: list[str]) -> BaseException | None:
        nonlocal now, free
        until = asyncio.get_running_loop().time()
        while (now := free) <= until:
            turn = bucket.draw()
            free += turn.wait + 0.01
        now = until
        return None if bucket.draw(Priority.TYPING).ready else LowBucketError("skipped")

    portal.failure = draw
    on(portal, 150, *chats(600))
    counts = [len(portal.signals[dialog]) for dialog in chats(600)]
    assert max(counts) - min(counts) <= 1, "fair"
    assert len(portal.requests) > 25, "what is kept for signals is used"


def test_a_skipped_request_is_told_once_and_softly(caplog):
    caplog.set_level(logging.INFO)
    portal = Portal()
    portal.failure = lambda dialogs: LowBucketError("skipped") if asyncio.get_running_loop().time() < 10 else None
    on(portal, 20, "chat1", "chat2")
    assert [record.levelname for record in caplog.records] == ["INFO"] * 2
    assert min(portal.signals["chat1"]) < 11, "as soon as there is room"


def test_refusals_are_not_asked_for_time_and_again():
    portal = Portal()
    portal.failure = lambda dialogs: QueryLimitError("Too many requests")
    on(portal, 240, *chats(100))
    assert len(portal.requests) <= 4 + 240 / 12


def test_a_method_that_has_used_up_its_time_rests():
    portal = Portal()
    blocked = OperatingLimitError("Method is blocked", retry_after=100.0)
    portal.refused = dict.fromkeys(chats(200), blocked)

    async def main() -> None:
        board = board_on(portal)
        async with AsyncExitStack() as stack:
            for dialog in chats(200):
                await stack.enter_async_context(board.lamp(dialog, signal(dialog), Light(dialog)))
            await asyncio.sleep(50)
            assert len(portal.requests) == 1, "the others need not find out for themselves"
            portal.refused.clear()
            await asyncio.sleep(60)
        await board.aclose()

    run_at_once(main())
    assert all(portal.signals[dialog] for dialog in chats(200))
    assert all(at > 100 for at, _ in portal.requests[1:])


# ---- who leaves


def test_a_waiter_that_leaves_early_takes_its_signal_along():
    portal = Portal()

    async def main() -> None:
        board = board_on(portal)
        async with board.lamp("chat2", signal("chat2"), Light("chat2")):
            async with board.lamp("chat1", signal("chat1"), Light("chat1")):
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)
        await board.aclose()

    run_at_once(main())
    assert portal.sent == ["chat2"]


def test_leaving_waits_for_a_signal_that_is_on_its_way():
    portal = Portal(answer=2.0)

    async def main() -> float:
        board = board_on(portal)
        async with board.lamp("chat1", signal("chat1"), Light("chat1")) as lamp:
            await asyncio.sleep(0.5)
        assert lamp.signals == 1
        left = asyncio.get_running_loop().time()
        await board.aclose()
        return left

    assert run_at_once(main()) == pytest.approx(2.1)


def test_being_cancelled_waits_for_nothing_and_disturbs_nobody(caplog):
    portal = Portal(answer=2.0)
    portal.refused = {"chat1": AccessDeniedError("Action unavailable")}

    async def keep(board: SignalBoard, dialog: str) -> None:
        async with board.lamp(dialog, signal(dialog), Light(dialog)):
            await asyncio.sleep(5)

    async def main() -> float:
        board = board_on(portal)
        gone, kept = (asyncio.create_task(keep(board, dialog)) for dialog in ("chat1", "chat2"))
        await asyncio.sleep(0.5)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        left = asyncio.get_running_loop().time()
        await kept
        await board.aclose()
        return left

    assert run_at_once(main()) == 0.5
    gc.collect()
    assert portal.signals["chat2"]
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_closing_sends_no_more():
    portal = Portal(answer=5.0)

    async def main() -> None:
        board = board_on(portal)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(board.lamp("chat1", signal("chat1"), Light("chat1")))
            await asyncio.sleep(1)
            await board.aclose()
            await asyncio.sleep(100)

    run_at_once(main())
    assert portal.sent == ["chat1"]
    assert not portal.signals
    assert portal.closed == 1


def test_what_happens_to_a_signal_is_told_in_the_context_of_who_wants_it():
    portal = Portal()
    portal.refused = {dialog: AccessDeniedError("Action unavailable") for dialog in chats(3)}
    whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="nobody")
    told = []

    class Telling(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append((whose.get(), record.getMessage().split()[4]))

    async def keep(board: SignalBoard, dialog: str) -> None:
        whose.set(f"task of {dialog}")
        async with board.lamp(dialog, signal(dialog), Light(dialog)):
            await asyncio.sleep(5)

    async def main() -> None:
        board = board_on(portal)
        await asyncio.gather(*(keep(board, dialog) for dialog in chats(3)))
        await board.aclose()

    log, handler = logging.getLogger("airflow_provider_b24.chat.typing"), Telling()
    log.addHandler(handler)
    try:
        run_at_once(main())
    finally:
        log.removeHandler(handler)
    assert told == [(f"task of {dialog}", dialog) for dialog in chats(3)]


# ---- sharing a board


def test_a_shared_board_is_closed_by_its_last_user():
    portals: list[Portal] = []

    def make() -> Portal:
        portals.append(Portal())
        return portals[-1]

    async def main() -> None:
        first, second = shared_board("key", make), shared_board("key", make)  # type: ignore[arg-type]
        board = await first.__aenter__()
        assert await second.__aenter__() is board
        await first.__aexit__(None, None, None)
        assert portals[0].closed == 0
        async with board.lamp("chat1", signal("chat1"), Light("chat1")):
            await asyncio.sleep(1)
        await second.__aexit__(None, None, None)
        assert portals[0].closed == 1
        async with shared_board("key", make) as another:  # type: ignore[arg-type]
            assert another is not board

    run_at_once(main())
    assert [portal.closed for portal in portals] == [1, 1]
    assert portals[0].sent == ["chat1"]


def test_keys_and_event_loops_have_boards_of_their_own():
    portals: list[Portal] = []

    def make() -> Portal:
        portals.append(Portal())
        return portals[-1]

    async def main() -> None:
        async with shared_board("a", make) as one, shared_board("b", make) as other:  # type: ignore[arg-type]
            assert one is not other

    run_at_once(main())
    run_at_once(main())
    assert [portal.closed for portal in portals] == [1, 1, 1, 1]


def test_an_error_of_one_user_does_not_close_the_board_of_the_other():
    portal = Portal()

    async def main() -> None:
        async with shared_board("key", lambda: portal):  # type: ignore[arg-type,return-value]
            with pytest.raises(ZeroDivisionError):
                async with shared_board("key", lambda: portal):  # type: ignore[arg-type,return-value]
                    raise ZeroDivisionError
            assert portal.closed == 0

    run_at_once(main())
    assert portal.closed == 1


# ---- a thousand


@pytest.mark.parametrize(
    ("later", "answer"),
    [(0.0, 0.2), (0.012, 1.0), (0.04, 3.0)],
    ids=["all at once", "within an interval, a slow portal", "within a minute, a very slow portal"],
)
def test_a_thousand_dialogs_stay_lit_with_less_than_two_requests_a_second(later, answer):
    portal, end = Portal(answer), 120.0
    on(portal, end, *chats(1000), later=later)
    begin = 1000 * later + 15
    assert min(portal.lit(dialog, begin, end) for dialog in chats(1000)) == 1
    times = [at for at, _ in portal.requests]
    assert min(after - before for before, after in pairwise(times)) > 0.599, "never more than two in a second"
    steady = [at for at in times if at >= begin]
    assert len(steady) / (end - begin) < 1.3, "most of what the portal allows is left to work"


def test_two_thousand_are_what_a_portal_can_bear():
    portal, end = Portal(0.2), 80.0
    on(portal, end, *chats(2000))
    assert min(portal.lit(dialog, 30, end) for dialog in chats(2000)) == 1
