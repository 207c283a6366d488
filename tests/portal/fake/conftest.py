"""A portal, and a way to call it that checks nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from airflow_provider_b24.testing import FakePortal

Result = tuple[int, Any]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class Caller:
    """Calls a portal through its webhook: status and JSON as they came."""

    def __init__(self, portal: FakePortal) -> None:
        self.portal = portal
        self.session = requests.Session()

    def __call__(self, method: str, params: Any = None) -> Result:
        reply = self.session.post(self.portal.webhook_url + method, json={} if params is None else params, timeout=10)
        return reply.status_code, reply.json()

    def result(self, method: str, params: Any = None) -> Any:
        status, answer = self(method, params)
        assert status == 200, answer
        return answer["result"]

    def refusal(self, method: str, params: Any = None) -> tuple[int, Any]:
        status, answer = self(method, params)
        assert "result" not in answer
        return status, answer["error"]

    def v3(self, method: str, params: Any = None) -> Result:
        address = self.portal.webhook_url.replace("/rest/", "/rest/api/") + method
        reply = self.session.post(address, json={} if params is None else params, timeout=10)
        return reply.status_code, reply.json()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_portal() -> Iterator[Callable[..., FakePortal]]:
    portals = []

    def start(**options: Any) -> FakePortal:
        portal = FakePortal(**options).start()
        portals.append(portal)
        return portal

    yield start
    for portal in portals:
        portal.stop()


@pytest.fixture
def portal(open_portal: Callable[..., FakePortal]) -> FakePortal:
    return open_portal()


@pytest.fixture
def call(portal: FakePortal) -> Iterator[Caller]:
    caller = Caller(portal)
    yield caller
    caller.session.close()


@pytest.fixture
def caller_of() -> Iterator[Callable[[FakePortal], Caller]]:
    callers = []

    def make(portal: FakePortal) -> Caller:
        callers.append(Caller(portal))
        return callers[-1]

    yield make
    for caller in callers:
        caller.session.close()
