"""A PostgreSQL server of the tests' own, which keeps nothing when it stops."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 30
USER = "loader"

# What a crash of the server would lose does not matter here.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "timezone": "Asia/Vladivostok",
}


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``: Debian puts them beside PATH."""
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    folders = [Path(folder) for folder in os.get_exec_path()] + newest_first
    return next((path for path in folders if (path / "initdb").exists() and (path / "postgres").exists()), None)


def needed() -> None:
    """Skip where there is none."""
    if programs() is None:
        pytest.skip("no PostgreSQL here; on Debian: apt-get install postgresql")


class Postgres:
    """A server that runs, on a Unix socket, with nobody asked for a password.

    :ivar folder: of the socket: what libpq takes as the host.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def connection(self, database: str = "postgres") -> dict[str, Any]:
        """The fields of an Airflow connection."""
        return {"conn_type": "postgres", "host": str(self.folder), "login": USER, "schema": database}

    def connect(self, database: str = "postgres") -> Any:
        """A connection that commits each statement."""
        import psycopg

        return psycopg.connect(host=str(self.folder), user=USER, dbname=database, autocommit=True)

    def table(self, name: str) -> dict[int, dict[str, Any]]:
        """All rows by their ids."""
        from psycopg.rows import dict_row

        with self.connect() as connection:
            rows = connection.cursor(row_factory=dict_row).execute(f"SELECT * FROM {name}").fetchall()
        found = {row["id"]: row for row in rows}
        assert len(found) == len(rows)
        return found


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server; it stops at the end."""
    bin_ = programs()
    assert bin_ is not None, "no PostgreSQL"
    # pytest's folders are closed to other users, and the path of a socket may be no longer than 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="b24-pg-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        # The server refuses to run as root.
        other: dict[str, Any] = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            other = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        other |= {"cwd": folder, "start_new_session": True, "env": {**os.environ, "HOME": str(folder), "LC_ALL": "C"}}
        data = str(folder / "data")
        subprocess.run(
            [bin_ / "initdb", "-D", data, "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            **other,
        )
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [bin_ / "postgres", "-D", data, "-k", str(folder), *settings],
                stdout=output,
                stderr=subprocess.STDOUT,
                **other,
            )
        server = Postgres(folder)
        _await(server, process, log)
        yield server
    finally:
        if process is not None:
            # At once, without a checkpoint.
            process.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _await(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        else:
            return
