"""The ledger that several hosts share, on a real Redis server."""

from __future__ import annotations

import builtins
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.ledger import MemoryLedger
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.redis_ledger import RedisLedger, redis_ledger
from airflow_provider_b24.rest.shared import SharedBucket
from tests.unit.rest.processes import Start, count, said

PASSWORD = "r3disp4ss/word"

CHILD = """
import sys
from airflow_provider_b24.rest.redis_ledger import RedisLedger
from airflow_provider_b24.rest.ledger import MemoryLedger
ledger = RedisLedger(sys.argv[1], MemoryLedger())
ledger.update("another", lambda record, now: (None, None))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    ledger.update("count", lambda record, now: (str(int(record or 0) + 1).encode(), None))
assert not ledger._lost
"""


class Server:
    """A Redis server on a Unix socket, which keeps nothing when it stops."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://:{PASSWORD.replace('/', '%2F')}@{folder / 'redis.sock'}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {"port": "0", "unixsocket": self._folder / "redis.sock", "save": "", "requirepass": PASSWORD}
        command = ["redis-server", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b"ready to accept" in line.lower():
                break

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        with self._process:
            pass
        self._process = None


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is missing; on Debian: apt-get install redis-server")
    found = Server(tmp_path_factory.mktemp("r"))
    found.start()
    yield found
    if found._process is not None:
        found.stop()


@pytest.fixture
def ledger(server: Server) -> Iterator[RedisLedger]:
    found = RedisLedger(server.url, MemoryLedger())
    yield found
    found.close()


def test_a_record_is_changed_kept_and_removed(server: Server, ledger: RedisLedger) -> None:
    assert ledger.blocking
    assert [count(ledger) for _ in range(3)] == [1, 2, 3]
    assert count(ledger, "another") == 1
    other = RedisLedger(server.url, MemoryLedger())
    assert count(other) == 4
    assert other.update("count", lambda record, now: (None, record)) == b"4"
    assert other.update("count", lambda record, now: (record, record)) is None
    assert count(ledger) == 1
    other.close()


def test_the_clock_is_the_servers(ledger: RedisLedger) -> None:
    assert abs(ledger.update("x", lambda record, now: (None, now)) - time.time()) < 5


def test_records_expire(ledger: RedisLedger) -> None:
    count(ledger)
    (name,) = ledger._client.keys("*")
    assert name == b"airflow-provider-b24:count"
    assert 3600 < ledger._client.ttl(name) <= 7200


def test_what_is_foreign_counts_as_none(ledger: RedisLedger) -> None:
    ledger._client.set("airflow-provider-b24:count", "something else")
    assert count(ledger) == 1
    assert count(ledger) == 2


def test_threads_and_processes_lose_no_change(server: Server, ledger: RedisLedger, child: Start) -> None:
    children = [child(CHILD, server.url, 200) for _ in range(2)]
    assert [said(process) for process in children] == ["ready"] * 2
    threads = [threading.Thread(target=lambda: [count(ledger) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for process in children:
        process.communicate("go\n")
    for thread in threads:
        thread.join()
    assert [process.returncode for process in children] == [0, 0]
    assert count(ledger) == 601


def test_a_forked_process_takes_part(ledger: RedisLedger) -> None:
    count(ledger)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            for _ in range(100):
                count(ledger)
            status = 1 if ledger._lost else 0
        finally:
            os._exit(status)
    for _ in range(100):
        count(ledger)
    assert os.waitpid(pid, 0)[1] == 0
    assert count(ledger) == 202


def test_hosts_draw_from_one_bucket_and_learn_from_each_other(server: Server) -> None:
    ledgers = [RedisLedger(server.url, MemoryLedger()) for _ in range(2)]
    address = Address("https", "acme.bitrix24.com")
    one, two = (SharedBucket(ledger, address, Plan(50, 2)) for ledger in ledgers)
    assert one.blocking
    ready = sum(bucket.draw().ready for bucket in [one, two] * 40)
    assert 49 <= ready <= 51
    one.refused()
    assert two.draw().whole > 1.0
    for ledger in ledgers:
        ledger.close()


def test_while_redis_is_away_the_host_goes_on_by_itself(
    server: Server, ledger: RedisLedger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert [count(ledger), count(ledger)] == [1, 2]
    server.stop()
    begun = time.monotonic()
    assert [count(ledger) for _ in range(100)] == list(range(1, 101))
    assert time.monotonic() - begun < 1.0
    ledger._again = float("-inf")
    assert count(ledger) == 101
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "ConnectionError" in caplog.text
    assert PASSWORD not in caplog.text
    server.start()
    ledger._again = float("-inf")
    assert [count(ledger), count(ledger)] == [1, 2]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_redis_that_hangs_is_waited_for_once(server: Server, ledger: RedisLedger) -> None:
    assert count(ledger) == 1
    assert server._process is not None
    server._process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        threads = [threading.Thread(target=lambda: count(ledger)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 0.5 < time.monotonic() - begun < 3.0
        assert count(ledger) == 21
    finally:
        server._process.send_signal(signal.SIGCONT)


def test_a_wrong_password_is_told_without_it(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    ledger = RedisLedger(server.url.replace("r3disp4ss", "wr0ngp4ss"), MemoryLedger())
    assert count(ledger) == 1
    assert "AuthenticationError" in caplog.text
    assert "wr0ngp4ss" not in caplog.text + repr(ledger)


# ---- what needs no server


def shown(error: BaseException) -> str:
    """All that a report of this error could show, locals of our frames included."""
    text = "".join(traceback.format_exception(error))
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "airflow_provider_b24" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
            text += repr(frame.f_locals)
    return text


@pytest.mark.parametrize(
    "url",
    [
        "http://:r3disp4ss@redis.example",
        "redis.example:r3disp4ss",
        "redis://:r3disp4ss@redis.example:99999",
        "redis://:r3disp4ss@redis.example?socket_timeout=r3disp4ss",
        "redis://:r3disp4ss@redis.example?r3disp4ss=1",
        "rediss://:r3disp4ss@redis.example?ssl_cert_reqs=r3disp4ss",
        "redis://:r3disp4ss@redis..example",
    ],
)
def test_an_url_that_can_not_be(url: str) -> None:
    with pytest.raises(ConfigurationError, match="limiter_url") as caught:
        redis_ledger(url)
    assert "r3disp4ss" not in shown(caught.value)
    assert caught.value.__context__ is None


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name == "redis" or name.startswith("redis."):
            raise ImportError(name)
        return real(name, *rest, **options)

    for name in [name for name in sys.modules if name == "redis" or name.startswith("redis.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    url = "redis://:r3disp4ss@redis.example"
    with pytest.raises(ConfigurationError, match=r"pip install 'airflow-provider-b24\[redis\]'") as caught:
        redis_ledger(url)
    assert "r3disp4ss" not in shown(caught.value)


def test_one_ledger_for_a_process() -> None:
    assert redis_ledger("redis://redis.example") is redis_ledger("redis://redis.example")
    assert redis_ledger("redis://redis.example") is not redis_ledger("redis://other.example")


def test_a_url_that_asks_for_texts_is_given_records(server: Server) -> None:
    ledger = RedisLedger(f"{server.url}?decode_responses=true", MemoryLedger())
    assert [count(ledger), count(ledger)] == [1, 2]
    assert not ledger._lost
