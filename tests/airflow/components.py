"""A real Airflow on loopback: scheduler, triggerer, dag-processor and API server, each a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
from cryptography.fernet import Fernet

from tests.airflow.client import Client

START_SECONDS = 90
STOP_SECONDS = 20

# Everything is there before Airflow starts, so files need no second look; all else is as quick as two cores bear.
SETTINGS = {
    "API__HOST": "127.0.0.1",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "CORE__TEST_CONNECTION": "Enabled",
    "CORE__PARALLELISM": "24",
    "CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "600",
    "DAG_PROCESSOR__STALE_DAG_THRESHOLD": "1200",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}

# In the order in which they are stopped: the scheduler waits for its tasks, and those for the API.
#
# Two API servers, one for people and one for tasks: the former writes into the database from its event loop, and
# where a task's request holds SQLite's only lock and needs the same loop to give it back, all stands still for 5 s.
COMMANDS = {
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "api-server": ("api-server", "--apps", "core"),
    "task-api": ("api-server", "--apps", "execution"),
}


class Component:
    """One command of Airflow, with its output in a file."""

    def __init__(self, command: tuple[str, ...], environ: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._command = ("airflow", *command)
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self.sessions: list[int] = []

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with self.log.open("ab") as log:
            # A session of its own: a Ctrl+C in the terminal is for pytest, which stops it in order.
            self._process = subprocess.Popen(
                self._command, env=self._environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        # Its number is that of the process, and everything that the process starts has it.
        self.sessions.append(self._process.pid)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal to the one process, and wait until it has gone; it may finish its work, but not for long."""
        for patience in (STOP_SECONDS, STOP_SECONDS):
            self.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
                return

    def tail(self, lines: int = 60) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


class Airflow:
    """All components on one SQLite database in a folder of their own.

    :param home: an empty folder, the AIRFLOW_HOME.
    :param dags: the folder of the DAG files.
    :param connections: put into the environment of all components, by id.
    :param more: further variables of their environment.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        connections: Mapping[str, Mapping[str, Any]],
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.dags = dags
        self.url, task_api = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.environ = environment(home, dags, connections) | {
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{task_api}/execution/",
            **(more or {}),
        }
        self.logs = home / "output"
        self.logs.mkdir()
        self.client = Client(self.url)
        listens = {"api-server": self.url, "task-api": task_api}
        self.components = {
            name: Component(
                (*command, *(("--port", listens[name].rpartition(":")[2]) if name in listens else ())),
                self.environ,
                self.logs / f"{name}.log",
            )
            for name, command in COMMANDS.items()
        }

    def start(self) -> Airflow:
        """Make the database, start everything, and wait until all DAG files are there.

        :raises RuntimeError: with what the components printed.
        """
        self.run("db", "migrate")
        for component in self.components.values():
            component.start()
        try:
            self._await_ready()
        except Exception as error:
            self.stop()
            raise RuntimeError(f"Airflow did not start: {error}\n{self.output()}") from None
        return self

    def stop(self) -> list[str]:
        """Stop everything; what had to be killed is returned."""
        self.client.close()
        for component in self.components.values():
            if component.is_running:
                component.stop()
        left = self.processes()
        names = [f"{process.pid} {process.cmdline()}" for process in left]
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=5)
        return names

    def processes(self) -> list[psutil.Process]:
        """Whatever the components started, and they themselves; also what has lost its parent."""
        found = []
        for process in psutil.process_iter(["status"]):
            with suppress(ProcessLookupError):
                ours = os.getsid(process.pid) in self._sessions
                if ours and process.info["status"] != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    @property
    def _sessions(self) -> set[int]:
        return {session for component in self.components.values() for session in component.sessions}

    def run(self, *arguments: str) -> str:
        """What an ``airflow`` command prints; its errors are part of the failure."""
        done = subprocess.run(
            ["airflow", *arguments], env=self.environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def store_connection(self, conn_id: str, fields: Mapping[str, Any]) -> None:
        """Put a connection into the database, through the API."""
        body = {**fields, "connection_id": conn_id, "extra": json.dumps(fields.get("extra", {}))}
        self.client.post("connections", body)

    def waiting_triggers(self) -> list[str]:
        """The arguments of all triggers that wait in the database."""
        with closing(sqlite3.connect(self.home / "airflow.db")) as database:
            return [kwargs for (kwargs,) in database.execute("SELECT kwargs FROM trigger")]

    def output(self) -> str:
        """The last lines of every component."""
        return "\n".join(f"--- {name}\n{component.tail()}" for name, component in self.components.items())

    def _await_ready(self) -> None:
        files = {path.name for path in self.dags.glob("*.py")}
        deadline = time.monotonic() + START_SECONDS
        missing = "the API server"
        while time.monotonic() < deadline:
            for name, component in self.components.items():
                if not component.is_running:
                    raise RuntimeError(f"the {name} ended with {component.process.returncode}")
            if self.client.answers():
                health = self.client.get("monitor/health")
                ill = [name for name, part in health.items() if (part or {}).get("status") != "healthy"]
                seen = {Path(dag["fileloc"]).name for dag in self.client.get("dags", limit=100)["dags"]}
                errors = self.client.get("importErrors")["import_errors"]
                if errors:
                    raise RuntimeError("\n".join(error["stack_trace"] for error in errors))
                if not ill and files <= seen:
                    return
                missing = ", ".join([*ill, *sorted(files - seen)])
            time.sleep(0.3)
        raise RuntimeError(f"{missing} not ready after {START_SECONDS} s")


def environment(home: Path, dags: Path, connections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The environment of an Airflow of its own, without anything that this process was given for another one."""
    foreign = ("AIRFLOW", "_AIRFLOW", "PYTEST", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    settings = SETTINGS | {
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "API_AUTH__JWT_SECRET": secrets.token_hex(64),
    }
    return {
        **kept,
        # Airflow starts its parts by name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()},
    }


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def texts(folder: Path) -> Iterable[tuple[Path, str]]:
    """All files below a folder as text."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes().decode(errors="replace")
