"""The indicator beside the work: signals go out in time, and nothing of them reaches the work."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from airflow_provider_b24.chat.typing import TypingIndicator
from airflow_provider_b24.rest.errors import AccessDeniedError, ConfigurationError, NotSentError
from tests.unit.chat.loops import LoopClock, run_at_once


class Stage(threading.Event):
    """Clock and stop of an indicator's thread: time passes in the thread's waits, which last no time, and after
    ``end`` seconds the thread stands still until the block is left."""

    def __init__(self, end: float) -> None:
        super().__init__()
        self.now = 0.0
        self.end = end
        self.at_end = threading.Event()

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        if self.now + timeout <= self.end:
            self.now += timeout
            return self.is_set()
        self.at_end.set()
        return self.left()

    def left(self) -> bool:
        """Wait for the end of the block."""
        return super().wait(5)


def indicator(send, stage, **options) -> TypingIndicator:
    return TypingIndicator(send, None, dialog_id="chat5", clock=stage, stop=stage, **options)


def ended(used: TypingIndicator) -> bool:
    """Whether the indicator's thread comes to its end."""
    assert used._thread is not None
    used._thread.join(5)
    return not used._thread.is_alive()


def test_a_signal_every_interval_while_the_block_works():
    stage, sent = Stage(60), []
    with indicator(lambda: sent.append(stage.now), stage):
        assert stage.at_end.wait(5)
    assert sent == [0, 12, 24, 36, 48, 60]


def test_the_interval_is_the_callers():
    stage, sent = Stage(60), []
    with indicator(lambda: sent.append(stage.now), stage, interval=20):
        assert stage.at_end.wait(5)
    assert sent == [0, 20, 40, 60]


@pytest.mark.parametrize("interval", [1, 25, 0])
def test_an_interval_that_can_not_keep_it_lit(interval):
    with pytest.raises(ConfigurationError, match="interval is"):
        indicator(lambda: None, Stage(0), interval=interval)


def test_failures_are_told_once_and_signals_go_on(caplog):
    stage, sent = Stage(60), []

    def send() -> None:
        sent.append(stage.now)
        if 12 <= stage.now < 36:
            raise NotSentError("the connection was refused")

    with indicator(send, stage):
        assert stage.at_end.wait(5)
    assert sent == [0, 12, 16, 20, 24, 28, 32, 36, 48, 60]
    assert [record.message.count("could not be lit") for record in caplog.records] == [1]


def test_a_permanent_failure_ends_the_signals(caplog):
    stage, sent = Stage(60), []

    def send() -> None:
        sent.append(stage.now)
        raise AccessDeniedError("Action unavailable", code="ACCESS_ERROR")

    entered = indicator(send, stage)
    with entered:
        assert ended(entered)
    assert sent == [0]
    assert caplog.text.count("is given up") == 1


def test_what_nobody_foresaw_does_not_reach_the_work(caplog):
    stage, sent = Stage(20), []

    def send() -> None:
        sent.append(stage.now)
        raise RuntimeError("s3cret")

    with indicator(send, stage):
        assert stage.at_end.wait(5)
    assert sent == [0, 4, 8, 12, 16, 20]
    assert "unforeseen RuntimeError" in caplog.text
    assert "s3cret" not in caplog.text


def test_what_the_work_raises_comes_out_of_the_block():
    stage = Stage(0)
    with pytest.raises(ZeroDivisionError), indicator(lambda: None, stage):
        raise ZeroDivisionError
    assert stage.is_set()


def test_leaving_waits_for_a_signal_on_its_way():
    stage, on_its_way, answer, order = Stage(60), threading.Event(), threading.Event(), []

    def send() -> None:
        on_its_way.set()
        assert answer.wait(5)
        order.append("signal taken")

    def portal() -> None:
        assert stage.left()
        order.append("block left")
        answer.set()

    answering = threading.Thread(target=portal)
    answering.start()
    with indicator(send, stage):
        assert on_its_way.wait(5)
    order.append("after the block")
    answering.join(5)
    assert order == ["block left", "signal taken", "after the block"]


def test_leaving_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr("airflow_provider_b24.chat.typing.ANSWER", -0.95)
    stage, on_its_way, answer = Stage(60), threading.Event(), threading.Event()

    def send() -> None:
        on_its_way.set()
        answer.wait(5)

    entered = indicator(send, stage)
    with entered:
        assert on_its_way.wait(5)
        left = time.monotonic()
    assert time.monotonic() - left < 1
    assert entered._thread is not None
    assert entered._thread.is_alive()
    answer.set()
    assert ended(entered)


def test_no_signal_is_begun_once_the_block_was_left():
    stage = Stage(12)
    sent: list[bool] = []
    entered: TypingIndicator = indicator(lambda: sent.append(entered.over), stage)
    assert not entered.over
    with entered:
        assert stage.at_end.wait(5)
        assert not entered.over
    assert entered.over
    assert sent == [False, False]
    assert ended(entered)


def test_it_can_be_used_again():
    stage, sent = Stage(0), []
    light = indicator(lambda: sent.append(stage.now), stage)
    for _ in range(2):
        stage.at_end.clear()
        with light:
            assert stage.at_end.wait(5)
    assert sent == [0, 0]


def test_what_has_to_be_prepared_is_prepared_by_the_thread_of_the_work():
    stage, threads = Stage(0), []

    def here() -> None:
        threads.append(threading.current_thread() is threading.main_thread())

    with indicator(here, stage, prepare=here):
        assert stage.at_end.wait(5)
    assert threads == [True, False]


def test_failed_preparations_do_not_reach_the_work(caplog):
    stage, sent = Stage(60), []

    def prepare() -> None:
        raise ConfigurationError("Airflow has no connection 'x'")

    with indicator(lambda: sent.append(stage.now), stage, prepare=prepare):
        pass
    assert sent == []
    assert caplog.text.count("Airflow has no connection 'x'") == 1


# ---- in an event loop


def test_signals_beside_a_coroutine():
    sent: list[object] = []

    async def work() -> None:
        clock = LoopClock()

        async def asend() -> None:
            sent.append(clock.monotonic())
            await asyncio.sleep(1)

        async with TypingIndicator(None, asend, dialog_id="chat5", clock=clock):
            await asyncio.sleep(50)
        sent.append("left")
        await asyncio.sleep(100)

    run_at_once(work())
    assert sent == [0, 12, 24, 36, 48, "left"]


def test_the_first_signal_begins_before_a_coroutine_that_never_waits():
    sent = []

    async def work() -> None:
        async def asend() -> None:
            sent.append("signal")

        async with TypingIndicator(None, asend, dialog_id="chat5", clock=LoopClock()):
            sent.append("work")

    run_at_once(work())
    assert sent == ["signal", "work"]


def test_failures_beside_a_coroutine(caplog):
    caplog.set_level(logging.INFO)
    sent = []

    async def work() -> None:
        clock = LoopClock()

        async def asend() -> None:
            sent.append(clock.monotonic())
            if clock.monotonic() < 5:
                raise NotSentError("the connection was refused")
            if clock.monotonic() > 15:
                raise AccessDeniedError("Action unavailable")

        async with TypingIndicator(None, asend, dialog_id="chat5", clock=clock):
            await asyncio.sleep(100)

    run_at_once(work())
    assert sent == [0, 4, 8, 20]
    assert len(caplog.records) == 1


def test_what_a_coroutine_raises_comes_out_of_the_block():
    async def asend() -> None:
        raise RuntimeError("not this one")

    async def work() -> None:
        async with TypingIndicator(None, asend, dialog_id="chat5", clock=LoopClock()):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_at_once(work())


def test_leaving_in_an_event_loop_waits_for_a_signal_on_its_way():
    order = []

    async def work() -> None:
        async def asend() -> None:
            await asyncio.sleep(3)
            order.append("signal taken")

        async with TypingIndicator(None, asend, dialog_id="chat5", clock=LoopClock()):
            pass
        order.append(f"left after {asyncio.get_running_loop().time():g} s")

    run_at_once(work())
    assert order == ["signal taken", "left after 3 s"]


def test_leaving_in_an_event_loop_breaks_off_a_signal_without_an_answer():
    async def work() -> float:
        broken_off = asyncio.Event()

        async def asend() -> None:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                broken_off.set()
                raise

        async with TypingIndicator(None, asend, dialog_id="chat5", clock=LoopClock()):
            pass
        assert broken_off.is_set()
        return asyncio.get_running_loop().time()

    assert run_at_once(work()) == 6


def test_a_cancelled_coroutine_sends_no_more():
    sent = []

    async def work() -> None:
        clock = LoopClock()

        async def asend() -> None:
            sent.append(clock.monotonic())

        async def report() -> None:
            async with TypingIndicator(None, asend, dialog_id="chat5", clock=clock):
                await asyncio.sleep(1000)

        task = asyncio.create_task(report())
        await asyncio.sleep(30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(1000)

    run_at_once(work())
    assert sent == [0, 12, 24]
