"""A portal that bills the execution time of methods, over HTTP, in a time that passes only when somebody waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import OperatingLimitError
from airflow_provider_b24.rest.ledger import HostLedger
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call
from airflow_provider_b24.testing import FakePortal
from tests.portal.rest.drivers import MakeDriver
from tests.unit.rest.clocks import FakeClock

LIST = Call("crm.item.list", {"entityTypeId": 2})
ADD = Call("crm.item.add", {"entityTypeId": 2, "fields": {"title": "x"}})
PROFILE = Call("profile")
PATIENT = Patience(operating=1e9, limits=1e9)


@dataclass
class Scene:
    """A portal and its clock, which is that of its clients as well."""

    portal: FakePortal
    clock: FakeClock
    directory: str

    def peer(self, **options: Any) -> Peer:
        """A client's; all share what they know on disk, as the processes of a host do."""
        ledger = HostLedger(self.directory, clock=self.clock.monotonic)
        return Peer(Webhook.of_url(self.portal.webhook_url), clock=self.clock, ledger=ledger, **options)

    def errors(self, method: str) -> list[str | None]:
        return [call.error for call in self.portal.calls if call.method == method]


@pytest.fixture(scope="module")
def lasting() -> Iterator[tuple[FakePortal, FakeClock]]:
    clock = FakeClock()
    with FakePortal(operating_limit=480.0, clock=clock.time) as portal:
        yield portal, clock


@pytest.fixture
def scene(lasting: tuple[FakePortal, FakeClock], tmp_path: Any) -> Scene:
    portal, clock = lasting
    portal.clear()
    portal.costs.clear()
    portal.operating.told_in_batches = False
    clock.waits.clear()
    return Scene(portal, clock, str(tmp_path))


def test_an_hour_of_dear_calls_is_never_refused(scene: Scene, driver: MakeDriver) -> None:
    scene.portal.costs[LIST.method] = 20.0
    began = scene.clock.now
    with driver(scene.peer(patience=PATIENT)) as client:
        for _ in range(144):
            client.call(LIST)
    assert scene.errors(LIST.method) == [None] * 144
    # 2880 s of execution, of which 480 may be used in ten minutes.
    assert 5 * 600 <= scene.clock.now - began <= 6 * 600


def test_what_is_used_up_is_not_sent_until_the_reset(scene: Scene, driver: MakeDriver) -> None:
    scene.portal.costs[LIST.method] = 490.0
    with driver(scene.peer()) as client:
        client.call(LIST)
    # Another process.
    with driver(scene.peer()) as client:
        with pytest.raises(OperatingLimitError) as caught:
            client.call(LIST)
        assert caught.value.retry_after == pytest.approx(600, abs=2)
        assert scene.clock.waits == []
        client.call(PROFILE)
        scene.clock.now += caught.value.retry_after or 0.0
        client.call(LIST)
    assert scene.errors(LIST.method) == [None, None]


def test_a_reset_that_is_near_is_slept_for(scene: Scene, driver: MakeDriver) -> None:
    scene.portal.costs[LIST.method] = 245.0
    with driver(scene.peer()) as client:
        client.call(LIST)
        scene.clock.now += 570
        client.call(LIST)
        client.call(LIST)
    assert scene.clock.waits == [pytest.approx(30, abs=2)]
    assert scene.errors(LIST.method) == [None] * 3


def test_a_batch_leaves_out_what_is_used_up(scene: Scene, driver: MakeDriver) -> None:
    scene.portal.costs[LIST.method] = 490.0
    with driver(scene.peer()) as client:
        client.call(LIST)
        reply = client.batch({"deals": LIST, "me": PROFILE, "new": ADD})
    assert set(reply.results) == {"me", "new"}
    assert type(reply.errors["deals"]) is OperatingLimitError
    assert scene.errors(LIST.method) == [None]


@pytest.mark.parametrize("told", [True, False])
def test_what_a_batch_uses_up(scene: Scene, driver: MakeDriver, told: bool) -> None:
    scene.portal.operating.told_in_batches = told
    scene.portal.costs[LIST.method] = 300.0
    with driver(scene.peer()) as client:
        first = client.batch([LIST, LIST])
        second = client.batch([LIST, PROFILE])
    assert len(first.results) == 2
    assert list(second.results) == [1]
    error = second.errors[0]
    assert type(error) is OperatingLimitError
    # Where the portal does not tell, it is asked again after a minute, and once more when the task comes back.
    assert scene.errors(LIST.method) == [None, None, *([] if told else ["OPERATION_TIME_LIMIT"] * 2)]
    assert error.retry_after == pytest.approx(600 if told else 60, abs=2)


def test_one_webhooks_time_is_not_anothers(scene: Scene, driver: MakeDriver) -> None:
    scene.portal.costs[LIST.method] = 490.0
    with driver(scene.peer()) as client:
        client.call(LIST)
    other = Webhook.of_url(scene.portal.webhook_url.replace(scene.portal.access.webhook_code, "another-code"))
    peer = Peer(other, clock=scene.clock, ledger=HostLedger(scene.directory, clock=scene.clock.monotonic))
    assert not peer.budget.allowance(LIST.method, scene.clock.now).wait


def test_many_at_once_are_kept_below_the_limit(scene: Scene, driver: MakeDriver) -> None:
    scene.portal.costs[LIST.method] = 1.0
    with driver(scene.peer(patience=PATIENT)) as client:
        for _ in range(70):
            client.together(LIST, 8)
    assert scene.errors(LIST.method) == [None] * 560
