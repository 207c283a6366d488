"""A real Airflow for the demo: its four components on loopback, with a database of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import psutil
import requests

HOST = "127.0.0.1"
START_SECONDS = 120.0
# A scheduler that is told to stop waits for the tasks that run; the demo does not wait for the scheduler.
STOP_SECONDS = 10.0
SHOWN_ON_FAILURE = 25  # lines of a log

# --skip-serve-logs: their log servers listen on all interfaces, and nothing here needs them.
COMPONENTS = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}


class DemoError(Exception):
    """The demo can not go on; the message says why, with the lines of a log that tell more."""


class Airflow:
    """Airflow between ``start()`` and ``stop()``.

    :param home: an empty folder for its database and logs.
    :param dags: the folder of DAG files.
    :param port: of the API server.
    :param connections: Airflow connections by id, as JSON texts.
    """

    def __init__(self, home: Path, dags: Path, port: int, connections: Mapping[str, str]) -> None:
        self.home = home
        self.url = f"http://{HOST}:{port}"
        self._environment = environment(home, dags, port, connections)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy is to be asked for an address on loopback

    # ---- running

    def migrate(self) -> None:
        """Make the database."""
        done = subprocess.run(
            self._command("db", "migrate"), env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DemoError(f"airflow db migrate failed:\n{_tail(done.stdout + done.stderr)}")

    def start(self, report: Callable[[str], None]) -> None:
        """Start the components, and wait until each of them says that it is well.

        :param report: told the name of each component that is.
        """
        for name, options in COMPONENTS.items():
            self._start(name, *options)
        waiting = {"api-server", "scheduler", "dag-processor", "triggerer"}
        for _ in self.poll(START_SECONDS, "Airflow did not come up"):
            for name in sorted(waiting & self._healthy()):
                waiting.remove(name)
                report(name)
            if not waiting:
                break
        token = self.request("GET", "/auth/token")["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def _start(self, name: str, *options: str) -> None:
        log = (self.home / f"{name}.log").open("wb")
        self._logs.append(log)
        # A session of its own: Ctrl-C in the terminal reaches the demo only, and whatever a component starts
        # can be told by its session.
        self._processes[name] = subprocess.Popen(
            self._command(name, *options),
            env=self._environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "airflow", *arguments]

    def _healthy(self) -> set[str]:
        try:
            answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=5)
            health = answer.json() if answer.ok else {}
        except (requests.RequestException, ValueError):
            return set()
        parts = {"scheduler": "scheduler", "dag_processor": "dag-processor", "triggerer": "triggerer"}
        well = {name for key, name in parts.items() if (health.get(key) or {}).get("status") == "healthy"}
        return well | ({"api-server"} if health else set())

    def stop(self) -> list[int]:
        """Stop whatever was started.

        :return: the processes that had to be killed.
        """
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        left = self.alive()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for process in self._processes.values():
            process.wait(10)
        while self.alive() and time.monotonic() < deadline + STOP_SECONDS:
            time.sleep(0.1)
        for log in self._logs:
            log.close()
        self._session.close()
        return left

    def alive(self) -> list[int]:
        """The components' processes, and all that descend from them."""
        sessions = {process.pid for process in self._processes.values()}
        for process in self._processes.values():
            process.poll()
        return [pid for pid in psutil.pids() if pid not in (0, os.getpid()) and _session_of(pid) in sessions]

    # ---- its REST API

    def request(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call the REST API.

        :raises DemoError: for any answer but a good one.
        """
        try:
            answer = self._session.request(verb, self.url + path, json=body, timeout=30)
        except requests.RequestException as error:
            raise DemoError(f"{verb} {path}: {type(error).__name__}\n{self.log_of('api-server')}") from None
        if not answer.ok:
            raise DemoError(f"{verb} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def poll(self, seconds: float, problem: str, pause: float = 0.25) -> Iterator[None]:
        """Comes round now and then, until the caller breaks off.

        :raises DemoError: when the time is up, or a component has ended.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            yield
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise DemoError(f"the {name} ended (status {process.returncode})\n{self.log_of(name)}")
            time.sleep(pause)
        logs = "\n".join(self.log_of(name) for name in self._processes)
        raise DemoError(f"{problem} within {seconds:.0f} s\n{logs}")

    def log_of(self, component: str) -> str:
        """The last lines that a component wrote."""
        path = self.home / f"{component}.log"
        return f"--- {component}:\n{_tail(path.read_text(errors='replace') if path.exists() else '')}"


def environment(home: Path, dags: Path, port: int, connections: Mapping[str, str]) -> dict[str, str]:
    """What the components are told. Settings of whoever runs the demo are set aside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    url = f"http://{HOST}:{port}"
    settings = {
        "CORE__DAGS_FOLDER": dags,
        "CORE__LOAD_EXAMPLES": False,
        "CORE__PARALLELISM": 4,
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "API__HOST": HOST,
        "API__PORT": port,
        "API__BASE_URL": url,
        # A run comes from the demo only, not from the schedule of the DAG as well.
        "SCHEDULER__USE_JOB_SCHEDULE": False,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 10,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "NO_PROXY": ",".join(filter(None, [kept.get("NO_PROXY"), HOST])),
        "NO_COLOR": "1",
        "AIRFLOW_HOME": str(home),
        "B24_LEDGER_DIR": str(home / "ledger"),
        **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
        **{f"AIRFLOW_CONN_{conn_id.upper()}": text for conn_id, text in connections.items()},
    }


def free_port(wanted: int) -> int:
    """The port, if nobody listens there; otherwise one that is free now."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError(f"no port of {HOST} is free")


def _session_of(pid: int) -> int | None:
    try:
        return None if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else os.getsid(pid)
    except (psutil.Error, OSError):
        return None


def _tail(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-SHOWN_ON_FAILURE:])
