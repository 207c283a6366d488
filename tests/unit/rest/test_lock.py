"""One at a time on a host, and nothing left behind by whoever was killed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airflow_provider_b24.rest import lock
from airflow_provider_b24.rest.lock import HostLock, Lock, MemoryLock


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_said", threading.Event())
    monkeypatch.setattr(lock, "_instead_of_files", {})


HOLDER = """
import os, sys, time
from airflow_provider_b24.rest.lock import HostLock
held = HostLock("app", sys.argv[1]).take()
held.write(b"from the dead")
if sys.argv[2] == "alone" or os.fork() == 0:
    print("held", flush=True)
    os.closerange(0, 3)
time.sleep(60)
"""


@pytest.fixture(params=["memory", "host"])
def locks(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Lock, Lock]:
    """The lock, as two who want it see it."""
    if request.param == "host":
        return HostLock("app", str(tmp_path)), HostLock("app", str(tmp_path))
    one = MemoryLock()
    return one, one


def test_one_at_a_time(locks: tuple[Lock, Lock]) -> None:
    one, other = locks
    held = one.take()
    assert held is not None
    assert held.read() == b""
    assert other.take() is None
    assert one.take() is None
    held.write(b"a long note")
    held.write(b"a note")
    held.release()
    again = other.take()
    assert again is not None
    assert again.read() == b"a note"
    again.release()


def test_others_have_locks_of_their_own(tmp_path: Path) -> None:
    held = HostLock("app", str(tmp_path)).take()
    other = HostLock("another app", str(tmp_path)).take()
    assert held is not None
    assert other is not None
    held.release()
    other.release()
    assert "app" not in "".join(path.name for path in tmp_path.iterdir())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("how", ["alone", "forks"])
def test_a_killed_holder_stops_nobody(tmp_path: Path, how: str) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        mine = HostLock("app", str(tmp_path))
        assert mine.take() is None
        holder.kill()
        holder.wait()
        held = mine.take()
        left = [int(name) for name in os.listdir("/proc") if name.isdigit() and _session(int(name)) == holder.pid]
        for process in left:
            os.kill(process, 9)
    assert held is not None
    assert held.read() == b"from the dead"
    held.release()
    assert len(left) == (how == "forks"), "the child of the dead one was there when the lock was taken"


def _session(process: int) -> int:
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return 0


def test_without_a_folder_the_threads_of_the_process_keep_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    one, other = (HostLock("app", str(tmp_path / "file")) for _ in range(2))
    held = one.take()
    assert held is not None
    assert other.take() is None
    held.release()
    assert other.take() is not None
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "No lock can be made on this host (File exists)" in warnings[0].getMessage()


@pytest.mark.parametrize("what", ["open to others", "a link"])
def test_a_folder_that_is_not_ours_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str) -> None:
    folder = tmp_path / "folder"
    if what == "a link":
        folder.symlink_to(tmp_path, target_is_directory=True)
    else:
        folder.mkdir(mode=0o755)
    held = HostLock("app", str(folder)).take()
    assert held is not None
    held.release()
    assert list(folder.glob("*.lock")) == []
    assert "No lock can be made on this host" in caplog.text


def test_where_the_ledger_of_the_host_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B24_LEDGER_DIR", str(tmp_path / "made"))
    held = HostLock("app").take()
    assert held is not None
    assert [path.suffix for path in (tmp_path / "made").iterdir()] == [".lock"]
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    held.release()
