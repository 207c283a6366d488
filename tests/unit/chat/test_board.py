"""Many dialogs' signals in few requests, against a portal that writes down what it gets, and in time that leaps.

How batches look on the wire and what portals answer is tested over HTTP, in ``tests/portal``.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_b24.chat.board import SignalBoard, shared_board
from airflow_provider_b24.chat.typing import SIGNAL_PATIENCE, Light, signal
from airflow_provider_b24.rest.batch import BatchReply
from airflow_provider_b24.rest.errors import AccessDeniedError, Bitrix24Error, LowBucketError, NotSentError
from airflow_provider_b24.rest.protocol import Call, Reply
from tests.unit.chat.loops import LoopClock, run_at_once


def dialog_of(call: Call) -> str:
    assert isinstance(call.params, dict)
    return str(call.params["DIALOG_ID"])


class Portal:
    """Stands in for an AsyncClient: takes ``answer`` seconds for each request.

    :ivar requests: time and dialogs of every request; a plain call as one text, a batch as a list.
    """

    def __init__(self, answer: float = 0.02) -> None:
        self.peer = SimpleNamespace(clock=LoopClock())
        self.answer = answer
        self.requests: list[tuple[float, str | list[str]]] = []
        self.refused: dict[str, Bitrix24Error] = {}
        self.failure: BaseException | None = None
        self.on_request: Callable[[], None] = lambda: None
        self.closed = 0

    async def call(self, call: Call, *, patience: Any) -> Reply:
        dialog = dialog_of(call)
        await self._request(dialog, patience)
        if dialog in self.refused:
            raise self.refused[dialog]
        return Reply(True)

    async def batch(self, calls: list[Call], *, patience: Any) -> BatchReply[Any]:
        dialogs = [dialog_of(call) for call in calls]
        await self._request(dialogs, patience)
        reply: BatchReply[Any] = BatchReply()
        for index, dialog in enumerate(dialogs):
            if dialog in self.refused:
                reply.errors[index] = self.refused[dialog]
            else:
                reply.replies[index] = Reply(True)
        return reply

    async def _request(self, what: str | list[str], patience: Any) -> None:
        assert patience is SIGNAL_PATIENCE
        self.requests.append((round(self.peer.clock.monotonic(), 3), what))
        self.on_request()
        await asyncio.sleep(self.answer)
        if self.failure is not None:
            raise self.failure

    async def aclose(self) -> None:
        self.closed += 1

    @property
    def sent(self) -> list[str | list[str]]:
        return [what for _, what in self.requests]


def board_on(portal: Portal) -> SignalBoard:
    return SignalBoard(portal)  # type: ignore[arg-type]


async def send(board: SignalBoard, *dialogs: str) -> list[Any]:
    return await asyncio.gather(*(board.signal(dialog, signal(dialog)) for dialog in dialogs), return_exceptions=True)


def test_one_signal_goes_out_as_a_plain_call():
    portal = Portal()

    async def main() -> None:
        board = board_on(portal)
        assert await send(board, "chat1") == [None]
        await board.aclose()

    run_at_once(main())
    assert portal.requests == [(0.1, "chat1")]


def test_signals_that_wait_together_share_a_request():
    portal = Portal()

    async def main() -> None:
        board = board_on(portal)
        assert await send(board, "chat1", "chat2", "chat3") == [None] * 3
        await board.aclose()

    run_at_once(main())
    assert portal.requests == [(0.1, ["chat1", "chat2", "chat3"])]


@pytest.mark.parametrize(
    ("count", "sizes"), [(2, [2]), (49, [49]), (50, [50]), (51, [50, 1]), (101, [50, 50, 1]), (120, [50, 50, 20])]
)
def test_fifty_to_a_request(count, sizes):
    portal = Portal()
    dialogs = [f"chat{number}" for number in range(1, count + 1)]

    async def main() -> None:
        board = board_on(portal)
        assert await send(board, *dialogs) == [None] * count
        await board.aclose()

    run_at_once(main())
    assert [1 if isinstance(what, str) else len(what) for what in portal.sent] == sizes
    flat = [dialog for what in portal.sent for dialog in ([what] if isinstance(what, str) else what)]
    assert flat == dialogs


def test_two_who_want_the_same_send_one():
    portal = Portal()

    async def main() -> None:
        board = board_on(portal)
        assert await send(board, "chat1", "chat1", "chat2") == [None] * 3
        assert await send(board, "chat1") == [None]
        await board.aclose()

    run_at_once(main())
    assert portal.sent == [["chat1", "chat2"], "chat1"]


def test_requests_keep_a_distance():
    portal = Portal()

    async def main() -> None:
        board = board_on(portal)
        for number in range(1, 5):
            assert await send(board, f"chat{number}") == [None]
        await asyncio.sleep(10)
        await send(board, "chat9")
        await board.aclose()

    run_at_once(main())
    assert [time for time, _ in portal.requests] == [0.1, 0.7, 1.3, 1.9, 12.02]


def test_the_failure_of_one_signal_is_only_its_own():
    portal = Portal()
    error = AccessDeniedError("Action unavailable", code="ACCESS_ERROR")
    portal.refused = {"chat2": error}

    async def main() -> None:
        board = board_on(portal)
        assert await send(board, "chat1", "chat2", "chat3") == [None, error, None]
        assert await send(board, "chat2") == [error]
        await board.aclose()

    run_at_once(main())


def test_the_failure_of_a_request_is_that_of_all_in_it():
    portal = Portal()
    portal.failure = NotSentError("the connection was refused")

    async def main() -> None:
        board = board_on(portal)
        assert await send(board, "chat1", "chat2") == [portal.failure] * 2
        assert await send(board, "chat1") == [portal.failure]
        portal.failure = None
        assert await send(board, "chat1", "chat2") == [None, None]
        await board.aclose()

    run_at_once(main())


def test_what_nobody_foresaw_is_an_error_and_no_cancellation():
    portal = Portal()
    portal.failure = RuntimeError("s3cret")

    async def main() -> None:
        board = board_on(portal)
        first, second = await send(board, "chat1", "chat2")
        assert first is second
        assert str(first) == "unforeseen RuntimeError"
        assert isinstance(first, Bitrix24Error)
        portal.failure = None
        assert await send(board, "chat1") == [None], "the board goes on"
        await board.aclose()

    run_at_once(main())


def test_a_waiter_that_is_cancelled_early_takes_its_signal_along():
    portal = Portal()

    async def main() -> None:
        board = board_on(portal)
        gone = asyncio.create_task(board.signal("chat1", signal("chat1")))
        kept = asyncio.create_task(board.signal("chat2", signal("chat2")))
        await asyncio.sleep(0.05)
        gone.cancel()
        await kept
        assert gone.cancelled()
        await board.aclose()

    run_at_once(main())
    assert portal.sent == ["chat2"]


def test_a_waiter_that_is_cancelled_leaves_the_signal_to_others_who_wait_for_it():
    portal = Portal()

    async def main() -> None:
        board = board_on(portal)
        gone = asyncio.create_task(board.signal("chat1", signal("chat1")))
        kept = asyncio.create_task(board.signal("chat1", signal("chat1")))
        await asyncio.sleep(0.05)
        gone.cancel()
        await kept
        await board.aclose()

    run_at_once(main())
    assert portal.sent == ["chat1"]


def test_a_waiter_that_is_cancelled_while_its_signal_is_on_the_way_disturbs_nobody(caplog):
    portal = Portal(answer=1.0)
    portal.refused = {"chat1": AccessDeniedError("Action unavailable")}

    async def main() -> None:
        board = board_on(portal)
        gone = asyncio.create_task(board.signal("chat1", signal("chat1")))
        kept = asyncio.create_task(board.signal("chat2", signal("chat2")))
        await asyncio.sleep(0.5)
        gone.cancel()
        await kept
        await board.aclose()

    run_at_once(main())
    gc.collect()
    assert portal.sent == [["chat1", "chat2"]]
    assert not caplog.records, "asyncio tells of exceptions that nobody has taken"


def test_signals_that_come_while_others_are_on_the_way_go_next():
    portal = Portal(answer=2.0)

    async def main() -> None:
        board = board_on(portal)

        async def later(delay: float, dialog: str) -> None:
            await asyncio.sleep(delay)
            await board.signal(dialog, signal(dialog))

        await asyncio.gather(later(0, "chat1"), later(1, "chat2"), later(1.5, "chat3"))
        await board.aclose()

    run_at_once(main())
    assert portal.requests == [(0.1, "chat1"), (2.2, ["chat2", "chat3"])]


def test_closing_drops_what_waits_with_an_error():
    portal = Portal(answer=5.0)

    async def main() -> None:
        board = board_on(portal)
        on_the_way = asyncio.create_task(board.signal("chat1", signal("chat1")))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(board.signal("chat2", signal("chat2")))
        await asyncio.sleep(1)
        await board.aclose()
        outcomes = await asyncio.gather(on_the_way, waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [LowBucketError, LowBucketError]

    run_at_once(main())
    assert portal.sent == ["chat1"]
    assert portal.closed == 1


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
        assert await send(board, "chat1") == [None]
        await second.__aexit__(None, None, None)
        assert portals[0].closed == 1
        async with shared_board("key", make) as another:  # type: ignore[arg-type]
            assert another is not board

    run_at_once(main())
    assert [portal.closed for portal in portals] == [1, 1]


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
        async with shared_board("key", lambda: portal) as board:  # type: ignore[arg-type,return-value]
            with pytest.raises(ZeroDivisionError):
                async with shared_board("key", lambda: portal):  # type: ignore[arg-type,return-value]
                    raise ZeroDivisionError
            assert portal.closed == 0
            assert await send(board, "chat1") == [None]

    run_at_once(main())
    assert portal.closed == 1


@pytest.mark.parametrize("spread", [0.0, 12.0, 60.0], ids=["all at once", "within an interval", "within a minute"])
def test_a_thousand_dialogs_stay_lit_with_less_than_two_requests_a_second(spread):
    portal, minutes, gaps = Portal(answer=0.2), 2.5, []

    async def lamp(board: SignalBoard, number: int) -> None:
        clock, light, dialog = portal.peer.clock, Light(f"chat{number}"), f"chat{number}"
        await asyncio.sleep(spread * number / 1000)
        last = None
        while clock.monotonic() < minutes * 60:
            pause = light.wait(now := clock.monotonic())
            if pause:
                await asyncio.sleep(pause)
                continue
            await board.signal(dialog, signal(dialog))
            light.sent(now)
            if last is not None:
                gaps.append(clock.monotonic() - last)
            last = clock.monotonic()

    async def main() -> None:
        board = board_on(portal)
        await asyncio.gather(*(lamp(board, number) for number in range(1, 1001)))
        await board.aclose()

    run_at_once(main())
    assert len(portal.requests) / (minutes * 60 + 2) < 2
    assert max(gaps) < 25, "a lamp went out"
    assert max(len(what) for what in portal.sent if isinstance(what, list)) == 50
