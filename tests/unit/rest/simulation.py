"""Conversations and a portal in a simulated time: hours of waiting take no time at all."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Generator
from typing import Any

from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.protocol import Request, Response
from airflow_provider_b24.rest.steps import Ask, Send, Wait
from tests.unit.rest.clocks import FakeClock

# Seconds that a request is under way, and an answer again.
TRAVEL = 0.05


class SimulatedPortal:
    """The vendor's leaky bucket: every request adds one, ``rate`` a second leaks out, above ``burst`` it refuses.

    :param counts_refused: whether refused requests fill the bucket too, which is not documented.
    """

    def __init__(self, burst: float = 50, rate: float = 2, *, counts_refused: bool = False) -> None:
        self.burst, self.rate, self.counts_refused = burst, rate, counts_refused
        self.taken = self.refused = 0
        self._level = 0.0
        self._at = 0.0

    def answer(self, now: float) -> Response:
        self._level = max(0.0, self._level - (now - self._at) * self.rate)
        self._at = now
        if self._level + 1 > self.burst:
            self.refused += 1
            self._level += self.counts_refused
            return Response(503, {}, b'{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}')
        self.taken += 1
        self._level += 1
        return Response(200, {}, b'{"result":true}')


class World:
    """Runs conversations side by side, each step at its time."""

    def __init__(self, answer: Callable[[float, Request], Response]) -> None:
        self.clock = FakeClock(now=0.0)
        self.outcomes: list[Any] = []
        self._answer = answer
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def start(self, conversation: Generator[Any, Any, Any], then: Callable[[], None] | None = None) -> None:
        """Have this conversation, beginning now; ``then`` when it has ended."""
        self.at(self.clock.now, lambda: self._go_on(conversation, None, then))

    def run(self) -> float:
        """Until nothing is left to do; the time of the last step."""
        while self._agenda:
            self.clock.now, _, step = heapq.heappop(self._agenda)
            step()
        return self.clock.now

    def at(self, when: float, step: Callable[[], None]) -> None:
        """Have this done at that time."""
        heapq.heappush(self._agenda, (when, next(self._number), step))

    def _go_on(self, conversation: Generator[Any, Any, Any], outcome: Any, then: Callable[[], None] | None) -> None:
        try:
            step = conversation.send(outcome)
        except StopIteration as stop:
            self.outcomes.append(stop.value)
        except Bitrix24Error as error:
            self.outcomes.append(error)
        else:
            self._carry_out(step, conversation, then)
            return
        if then is not None:
            then()

    def _carry_out(self, step: Any, conversation: Generator[Any, Any, Any], then: Callable[[], None] | None) -> None:
        now = self.clock.now
        if isinstance(step, Ask):
            self._go_on(conversation, step.question(), then)
            return
        if isinstance(step, Wait):
            self.at(now + step.seconds, lambda: self._go_on(conversation, None, then))
            return
        assert isinstance(step, Send)

        def arrive() -> None:
            response = self._answer(self.clock.now, step.request)
            self.at(self.clock.now + TRAVEL, lambda: self._go_on(conversation, response, then))

        self.at(now + TRAVEL, arrive)


def converse_with(
    conversation: Generator[Any, Any, Any], *answers: Any, clock: FakeClock | None = None
) -> tuple[list[Any], Any]:
    """A conversation that gets these outcomes of its :class:`Send` and other steps, in order (waits get None, what is
    asked is done).

    :param clock: goes on while it waits.
    :return: all its steps, and what it returned or raised.
    """
    left = list(answers)
    steps: list[Any] = []
    outcome: Any = None
    while True:
        try:
            step = conversation.send(outcome)
        except StopIteration as stop:
            assert not left
            return steps, stop.value
        except Bitrix24Error as error:
            assert not left
            return steps, error
        if isinstance(step, Ask):
            outcome = step.question()
            continue
        steps.append(step)
        if isinstance(step, Wait) and clock is not None:
            clock.sleep(step.seconds)
        outcome = None if isinstance(step, Wait) else left.pop(0)


def reply(result: Any = True, **more: Any) -> Response:
    return Response(200, {}, json.dumps({"result": result, **more}).encode())


def error(status: int, code: str, description: str = "", **headers: str) -> Response:
    body = json.dumps({"error": code, "error_description": description}).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)
