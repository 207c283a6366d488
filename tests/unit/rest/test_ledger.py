"""The transactions of ledgers: in memory, and on the disk of the host with real processes."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest import ledger as module
from airflow_provider_b24.rest.ledger import HostLedger, Ledger, MemoryLedger, host_ledger, seal, unseal
from tests.unit.rest.processes import Start, count, said

# What an ignored lock would lose, and how a child takes part: `python -c CHILD directory times`.
CHILD = """
import sys
from airflow_provider_b24.rest.ledger import HostLedger
ledger = HostLedger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    ledger.update("count", lambda record, now: (str(int(record or 0) + 1).encode(), None))
assert not ledger._told, ledger._told
"""
# Holds the lock of a record until it is killed.
HOLDER = """
import sys, time
from airflow_provider_b24.rest.ledger import HostLedger
def hold(record, now):
    print("holds", flush=True)
    time.sleep(600)
HostLedger(sys.argv[1]).update("count", hold)
"""


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


@pytest.fixture
def host(directory: str) -> Iterator[HostLedger]:
    ledger = HostLedger(directory)
    yield ledger
    ledger.close()


@pytest.fixture(params=["memory", "host"])
def ledger(request: pytest.FixtureRequest, directory: str) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
    else:
        yield request.getfixturevalue("host")


# ---- what all of them do


def test_a_record_is_changed_and_kept(ledger: Ledger) -> None:
    assert [count(ledger) for _ in range(3)] == [1, 2, 3]
    assert count(ledger, "another") == 1


def test_a_record_can_be_removed_and_read(ledger: Ledger) -> None:
    count(ledger)
    assert ledger.update("count", lambda record, now: (record, record)) == b"1"
    assert ledger.update("count", lambda record, now: (None, record)) == b"1"
    assert ledger.update("count", lambda record, now: (record, record)) is None
    assert count(ledger) == 1


def test_a_record_grows_and_shrinks(ledger: Ledger) -> None:
    for size in (0, 1, 16_000, 3, 0, 500):
        text = b"x" * size
        ledger.update("size", lambda record, now: (text, None))  # noqa: B023
        assert ledger.update("size", lambda record, now: (record, record)) == text


def test_a_change_that_fails_changes_nothing(ledger: Ledger) -> None:
    count(ledger)
    with pytest.raises(ZeroDivisionError):
        ledger.update("count", lambda record, now: (b"9", 1 // 0))
    assert count(ledger) == 2


def test_who_interrupts_a_change_by_a_signal_does_not_wait_for_it(ledger: Ledger) -> None:
    def change(record: bytes | None, now: float) -> tuple[bytes, int]:
        signal.raise_signal(signal.SIGUSR1)
        return b"7", counted[0]

    counted: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: counted.append(count(ledger)))
    try:
        assert ledger.update("count", change) == 1
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert count(ledger) == 8


def test_threads_lose_no_change(ledger: Ledger) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [count(ledger) for _ in range(300)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert count(ledger) == 1201


def test_the_clock_is_the_ledgers(directory: str) -> None:
    for ledger in (MemoryLedger(lambda: 7.0), HostLedger(directory, lambda: 7.0)):
        assert ledger.update("x", lambda record, now: (None, now)) == 7.0


# ---- what is stored


@given(st.binary(max_size=2000), st.floats(0, 1e9), st.binary(max_size=50))
def test_what_was_sealed_is_unsealed(record: bytes, at: float, left_over: bytes) -> None:
    assert unseal(seal(record, at) + left_over, at) == record


@given(st.binary(min_size=1, max_size=300), st.integers(0, 319), st.integers(1, 255))
def test_what_is_torn_counts_as_none(record: bytes, at: int, flip: int) -> None:
    stored = bytearray(seal(record, 5.0))
    assert unseal(bytes(stored[:-1]), 5.0) is None
    stored[at % len(stored)] ^= flip
    assert unseal(bytes(stored), 5.0) is None


@given(st.binary(max_size=200))
def test_what_is_foreign_counts_as_none(stored: bytes) -> None:
    assert unseal(stored, 5.0) is None


def test_a_record_from_before_the_machine_was_started_again_counts_as_none() -> None:
    assert unseal(seal(b"x", 1000.0), 999.0) == b"x"
    assert unseal(seal(b"x", 1000.0), 10.0) is None


def test_a_record_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="too long"):
        seal(b"x" * 20_000, 0.0)


# ---- the host's


def test_the_ledger_of_the_host_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host_ledger() is host_ledger()
    assert host_ledger().directory == os.environ["B24_LEDGER_DIR"]
    monkeypatch.delenv("B24_LEDGER_DIR")
    assert host_ledger().directory.endswith(f"airflow-provider-b24-{os.geteuid()}")
    assert HostLedger().directory == host_ledger().directory


def test_nobody_else_can_look(directory: str, host: HostLedger) -> None:
    before = os.umask(0)
    try:
        count(host, "portal:443/../.. ; rm")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    (name,) = os.listdir(directory)
    assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o600


def test_long_names(directory: str, host: HostLedger) -> None:
    names = ["a" * 300, "a" * 301, "ж" * 100, ".", ".."]
    assert [count(host, name) for name in names] == [1] * 5
    assert [count(host, name) for name in names] == [2] * 5
    assert len(os.listdir(directory)) == 5


def test_open_files_are_bounded(host: HostLedger) -> None:
    for turn in (1, 2):
        assert {count(host, str(number)) for number in range(200)} == {turn}
    assert len(host._files) <= 64


def test_processes_that_begin_at_once_lose_no_change(directory: str, host: HostLedger, child: Start) -> None:
    children = [child(CHILD, directory, 500) for _ in range(4)]
    assert [said(process) for process in children] == ["ready"] * 4
    for process in children:
        process.communicate("go\n")
    assert [process.returncode for process in children] == [0] * 4
    assert count(host) == 2001


def test_a_forked_process_takes_part(host: HostLedger) -> None:
    count(host)
    children = []
    for _ in range(3):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                for _ in range(300):
                    count(host)
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    for _ in range(300):
        count(host)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 3
    assert count(host) == 1202


def test_a_fork_in_the_middle_of_a_change_keeps_no_lock(directory: str, host: HostLedger, child: Start) -> None:
    """The child has a copy of the locked file: it must not hold the lock when the parent is gone."""
    code = """
import os, sys, time
from airflow_provider_b24.rest.ledger import HostLedger
ledger = HostLedger(sys.argv[1])
def change(record, now):
    if not os.fork():
        print(os.getpid(), flush=True)
        time.sleep(600)
    time.sleep(600)
ledger.update("count", change)
"""
    parent = child(code, directory)
    orphan = int(said(parent))
    try:
        parent.kill()
        parent.wait()
        assert count(host) == 1
        assert not host._told
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_whoever_is_killed_while_it_holds_the_lock_stops_nobody(directory: str, host: HostLedger, child: Start) -> None:
    for number in range(1, 4):
        holder = child(HOLDER, directory)
        assert said(holder) == "holds"
        holder.kill()
        holder.wait()
        assert count(host) == number
    assert not host._told


def test_processes_that_are_killed_at_any_moment_leave_a_record_that_counts(host: HostLedger) -> None:
    last = count(host)
    for number in range(30):
        pid = os.fork()
        if not pid:
            try:
                while True:
                    count(host)
                    # Not all the time: a lock has no queue.
                    time.sleep(0.0001)
            finally:
                os._exit(1)
        own = 0
        # Each is killed after it has been seen to count, after a different number of changes.
        deadline = time.monotonic() + 10
        while (now := count(host)) <= last + own + 1 + number % 7 and time.monotonic() < deadline:
            own += 1
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert now > last
        last = count(host)
        assert last > now
    assert not host._told


def test_a_holder_that_is_stopped_does_not_stop_the_others(
    directory: str, host: HostLedger, caplog: pytest.LogCaptureFixture, child: Start
) -> None:
    assert count(host) == 1
    holder = child(HOLDER, directory)
    assert said(holder) == "holds"
    holder.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        # on with what is known: nobody else's changes can be seen, and nobody is waited for again and again
        assert [count(host) for _ in range(50)] == list(range(2, 52))
        assert time.monotonic() - begun < 1.0
        assert caplog.text.count("does not run") == 1
    finally:
        holder.kill()
        holder.wait()
    # what was counted meanwhile is written down once the disk can be had
    host._again = float("-inf")
    assert count(host) == 52
    assert count(HostLedger(directory)) == 53


def test_a_holder_that_was_slow_once_is_not_worth_a_word(
    host: HostLedger, directory: str, caplog: pytest.LogCaptureFixture, child: Start
) -> None:
    holder = child(HOLDER, directory)
    assert said(holder) == "holds"
    assert count(host) == 1
    holder.kill()
    holder.wait()
    assert count(host) == 2
    assert count(HostLedger(directory)) == 3
    assert caplog.text == ""


@pytest.mark.parametrize("obstacle", ["a file", "a link", "open to others", "somebody else's", "no place"])
def test_a_directory_that_can_not_be_used_is_told_once(
    obstacle: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "ledger"
    if obstacle == "a file":
        place.write_text("")
    elif obstacle == "a link":
        (tmp_path / "real").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "real")
    elif obstacle == "open to others":
        place.mkdir()
        place.chmod(0o770)
    elif obstacle == "somebody else's":
        place.mkdir(mode=0o700)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    else:
        (tmp_path / "file").write_text("")
        place = tmp_path / "file" / "ledger"
    ledger = HostLedger(str(place))
    assert [count(ledger) for _ in range(20)] == list(range(1, 21))
    ledger._again = float("-inf")
    assert count(ledger) == 21
    assert caplog.text.count("can not be shared") == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert "B24_LEDGER_DIR" in caplog.text


def test_a_link_in_place_of_a_record_is_not_followed(host: HostLedger, directory: str, tmp_path: Path) -> None:
    count(host, "another")
    (tmp_path / "precious").write_text("precious")
    os.symlink(tmp_path / "precious", os.path.join(directory, "count"))
    assert count(host) == 1
    assert (tmp_path / "precious").read_text() == "precious"
    assert host._told


def test_a_disk_without_locks_is_told(
    host: HostLedger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert [count(host), count(host)] == [1, 2]
    assert "No locks available" in caplog.text


def test_a_full_disk_is_told(
    host: HostLedger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwrite", lambda file, stored, at: 3)
    assert [count(host), count(host)] == [1, 2]
    assert "the disk is full" in caplog.text


def test_a_directory_that_was_tidied_up_is_made_anew(host: HostLedger, directory: str) -> None:
    assert count(host) == 1
    os.unlink(os.path.join(directory, "count"))
    os.rmdir(directory)
    assert count(host) == 1
    assert count(HostLedger(directory)) == 2


def test_nothing_is_written_into_a_file_that_took_the_number(host: HostLedger, tmp_path: Path) -> None:
    """Programs that become daemons close every file they find open."""
    assert count(host) == 1
    number = host._files["count"].number
    with (tmp_path / "precious").open("w+") as precious:
        precious.write("precious")
        precious.flush()
        os.dup2(precious.fileno(), number)
        assert count(host) == 2
        assert (tmp_path / "precious").read_text() == "precious"
    os.close(number)
    os.close(host._files["count"].number)
    assert count(host) == 3
    assert not host._told


def test_a_record_that_somebody_wrote_over_counts_as_none(host: HostLedger, directory: str) -> None:
    count(host)
    Path(directory, "count").write_text("something else entirely, and quite long as well")
    assert count(host) == 1


def test_an_exception_out_of_nowhere_keeps_no_lock(
    host: HostLedger, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow ends a task by an exception in a signal handler, which may strike anywhere."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "unseal", lambda stored, now: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            count(host)
    assert count(HostLedger(directory)) == 1
