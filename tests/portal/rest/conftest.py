from __future__ import annotations

import logging

import pytest

from tests.portal.rest.drivers import AsyncDriver, MakeDriver, SyncDriver


@pytest.fixture(params=[SyncDriver, AsyncDriver], ids=lambda kind: kind.name)
def driver(request: pytest.FixtureRequest) -> MakeDriver:
    """Makes the one or the other client; every test with it runs for both."""
    return request.param


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What all libraries write into their logs, down to DEBUG."""
    caplog.set_level(logging.DEBUG)
    return caplog
