"""One request limit for all processes of a host, against a portal that counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_b24.rest.client import Client
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.ledger import HostLedger
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call
from airflow_provider_b24.testing import FakePortal
from tests.portal.rest.drivers import QUICK
from tests.unit.rest.processes import Start, said, starting

# The portal takes a little more than it says: on a busy machine requests do not arrive as evenly as they are sent.
PLAN, TAKES = Plan(20, 20), (26, 20.0)

# Makes so many calls at once: `python -c CALLS sync|async webhook directory times`.
CALLS = """
import asyncio, sys
from concurrent.futures import ThreadPoolExecutor
from airflow_provider_b24.rest.aio import AsyncClient
from airflow_provider_b24.rest.client import Client
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.ledger import HostLedger
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call

kind, url, directory, times = sys.argv[1:]
ledger = HostLedger(directory)
peer = Peer(Webhook.of_url(url), plan=Plan(20, 20), ledger=ledger)
call, times = Call("profile"), int(times)

def threads():
    with Client(peer) as client, ThreadPoolExecutor(times) as pool:
        for future in [pool.submit(client.call, call) for _ in range(times)]:
            future.result()

async def tasks():
    async with AsyncClient(peer) as client:
        await asyncio.gather(*(client.call(call) for _ in range(times)))

print("ready", flush=True)
sys.stdin.readline()
threads() if kind == "sync" else asyncio.run(tasks())
print("not shared" if ledger._told else "done", flush=True)
"""

LEARN = """
import sys
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.ledger import HostLedger
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.shared import SharedBucket
SharedBucket(HostLedger(sys.argv[1]), Address.of_url(sys.argv[2]), Plan(20, 20)).refused()
"""


@pytest.fixture
def portal() -> Iterator[FakePortal]:
    with FakePortal(bucket=TAKES) as found:
        yield found


@pytest.fixture
def child() -> Iterator[Start]:
    with starting() as start:
        yield start


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


@pytest.fixture
def client(portal: FakePortal, directory: str) -> Iterator[Client]:
    ledger = HostLedger(directory)
    with Client(Peer(Webhook.of_url(portal.webhook_url), plan=PLAN, ledger=ledger), QUICK) as found:
        yield found
    ledger.close()


def test_four_processes_are_refused_nothing_and_take_no_longer_than_they_must(
    portal: FakePortal, child: Start, directory: str
) -> None:
    """Each alone would keep to the limit; together they would be refused half of it."""
    processes = [child(CALLS, kind, portal.webhook_url, directory, 15) for kind in ("sync", "async") * 2]
    assert [said(process) for process in processes] == ["ready"] * 4
    begun = time.monotonic()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [said(process) for process in processes] == ["done"] * 4
    seconds = time.monotonic() - begun
    statuses = [call.status for call in portal.calls]
    assert statuses == [200] * 60
    # 18 at once and 20 a second
    assert 2.0 <= seconds <= 2 * 2.1


def test_a_process_that_is_killed_while_it_waits_holds_nobody_up(
    portal: FakePortal, child: Start, directory: str, client: Client
) -> None:
    process = child(CALLS, "async", portal.webhook_url, directory, 300)
    assert said(process) == "ready"
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    deadline = time.monotonic() + 10
    while len(portal.calls) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    begun = time.monotonic()
    client.call(Call("profile"))
    # What it had in mind would have taken 14 s.
    assert time.monotonic() - begun < 3.0
    assert {call.status for call in portal.calls} == {200}


def test_what_one_process_learns_slows_the_others(
    portal: FakePortal, child: Start, directory: str, client: Client
) -> None:
    bucket = client.peer.bucket
    assert bucket is not None
    assert not bucket.draw().slow
    assert child(LEARN, directory, portal.url).wait(10) == 0
    assert bucket.draw().slow
    for _ in range(20):
        client.call(Call("profile"))
    assert not bucket.draw().slow
