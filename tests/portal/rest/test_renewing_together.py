"""Processes that share an application's tokens: of one host by a lock, of several by what they find in the store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_provider_b24.testing import FakePortal, Fault


class Cluster:
    """Processes on one host or several, and the portal that they call."""

    def __init__(self, portal: FakePortal, folder: Path, stack: ExitStack) -> None:
        self.portal = portal
        self._folder = folder
        self._stack = stack
        extra = portal.oauth_connection()["extra"]
        self.store = folder / "tokens.json"
        self.store.write_text(json.dumps([extra["access_token"], extra["refresh_token"]]))
        portal.expire_tokens()

    def start(self, driver: str, *, host: str = "one", stops: str = "never") -> subprocess.Popen[str]:
        """A process that waits to be sent on its way."""
        locks = self._folder / host
        locks.mkdir(mode=0o700, exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.portal.rest.renewer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        told = {
            "url": self.portal.url,
            "client_id": self.portal.access.client_id,
            "client_secret": self.portal.access.client_secret,
            "oauth_url": self.portal.oauth_url,
            "store": str(self.store),
            "locks": str(locks),
            "driver": driver,
            "stops": stops,
        }
        tell(process, json.dumps(told))
        return process

    @property
    def renewals(self) -> list[int | None]:
        """What the authorisation server answered."""
        return [call.status for call in self.portal.requests if call.method == "oauth.token"]


def tell(process: subprocess.Popen[str], line: str = "go") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        portal = stack.enter_context(FakePortal())
        yield Cluster(portal, tmp_path, stack)


def test_eight_processes_and_one_renewal(cluster: Cluster) -> None:
    # Who comes first takes its time, so that the others do wait.
    cluster.portal.faults.add(Fault("slow", "oauth.token", seconds=0.3))
    processes = [cluster.start(("sync", "async")[number % 2]) for number in range(8)]
    assert [heard(process) for process in processes] == ["ready"] * 8
    for process in processes:
        tell(process)
    assert [heard(process) for process in processes] == ["1"] * 8
    assert cluster.renewals == [200]


def test_two_hosts_and_one_refresh_token(cluster: Cluster) -> None:
    """Nothing keeps them from asking both; the second finds what the first has stored, late as that is."""
    processes = [cluster.start("sync", host=host, stops="slow") for host in ("one", "another")]
    assert [heard(process) for process in processes] == ["ready"] * 2
    cluster.portal.faults.add(Fault("slow", "oauth.token", seconds=0.2, times=2))
    for process in processes:
        tell(process)
    assert [heard(process) for process in processes] == ["1"] * 2
    assert sorted(cluster.renewals, key=str) == [200, 400]


def test_killed_between_receiving_and_storing(cluster: Cluster) -> None:
    killed = cluster.start("sync", stops="before")
    assert heard(killed) == "ready"
    tell(killed)
    assert heard(killed) == "received"
    waiting = cluster.start("async", stops="hurried")
    assert heard(waiting) == "ready"
    tell(waiting)
    killed.kill()
    killed.wait()
    told = heard(waiting)
    assert told.startswith("oauth/token: invalid_grant (HTTP 400): ")
    assert "by a process that was stopped before it could store the new one" in told
    assert told.endswith("authorise the application anew. Run: airflow bitrix24 authorize crm")
    assert cluster.renewals == [200, 400]
    # The next one is told the same at once, and the authorisation server is left in peace.
    late = cluster.start("sync")
    assert heard(late) == "ready"
    tell(late)
    told = heard(late)
    assert "not asked again" in told
    assert told.endswith("Run: airflow bitrix24 authorize crm")
    assert cluster.renewals == [200, 400]


def test_a_process_ends_after_the_renewal_that_it_began(cluster: Cluster) -> None:
    cluster.portal.faults.add(Fault("slow", "oauth.token", seconds=0.5))
    hasty = cluster.start("hasty")
    before = json.loads(cluster.store.read_text())
    assert heard(hasty) == "ready"
    tell(hasty)
    assert "the access token is being renewed" in heard(hasty)
    assert hasty.wait(10) == 0
    assert cluster.renewals == [200]
    after = json.loads(cluster.store.read_text())
    assert not set(before) & set(after)
    # And the next one finds them good.
    late = cluster.start("sync")
    assert heard(late) == "ready"
    tell(late)
    assert heard(late) == "1"
    assert cluster.renewals == [200]
