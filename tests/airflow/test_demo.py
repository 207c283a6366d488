"""The demo, as ``make demo`` runs it: what it promises, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from airflow_provider_b24.testing import FakePortal, Message
from tools.demo import CHAT, Outcome, Watch
from tools.demo_airflow import free_port

ROOT = Path(__file__).parents[2]

# The webhook lost its access to the CRM, so the report fails.
WITHOUT_CRM = """
from tools import demo
def open_portal(opened=demo.open_portal):
    portal = opened()
    portal.scopes = ["im"]
    return portal
demo.open_portal = open_portal
raise SystemExit(demo.main())
"""


class Demo:
    """A demo in a process of its own, whose temporary files are in a folder of its own."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.seen: list[str] = []

    @property
    def printed(self) -> str:
        return "".join(self.seen)

    def read_until(self, pattern: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(line)
            if re.search(pattern, line):
                return line
        raise AssertionError(f"{pattern!r} was not printed, but:\n{self.printed}")

    def end(self) -> int:
        assert self.process.stdout is not None
        self.seen.extend(self.process.stdout)
        return self.process.wait(30)

    def processes(self) -> list[psutil.Process]:
        """Airflow's processes: all of them work in a folder of the demo's."""
        return [one for one in psutil.process_iter() if _works_in(one, self.folder)]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return folder in Path(process.cwd()).parents
    except psutil.Error:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    demos: list[Demo] = []

    def start(*arguments: str) -> Demo:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        environment |= {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        demos.append(Demo(process, tmp_path))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGTERM)
            demo.process.wait(60)
        for left in demo.processes():
            left.kill()
        assert demo.process.stdout is not None
        demo.process.stdout.close()


@contextmanager
def in_use(*ports: int) -> Iterator[None]:
    """Somebody listens on these ports."""
    sockets = []
    for port in ports:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            pass  # in use by somebody else, which is as good
        sockets.append(listener)
    try:
        yield
    finally:
        for listener in sockets:
            listener.close()


@pytest.mark.airflow
def test_report_arrives_once_with_typing_all_the_time(start: Callable[..., Demo]) -> None:
    with in_use(8024, 8080):
        demo = start("tools/demo.py")
        demo.read_until(r"Anna Petrova is typing…")
        listening = {
            connection.laddr.ip
            for process in [*demo.processes(), psutil.Process(demo.process.pid)]
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
        names = " ".join(" ".join(process.cmdline()) for process in demo.processes())
        assert "scheduler" in names
        assert "triggerer" in names
        assert "dag-processor" in names
        status = demo.end()
    assert status == 0, demo.printed
    assert demo.printed.count("is in use") == 2
    assert len(re.findall(r"^  \S+ +\S+ s  message \d+: \[B\]Sales report", demo.printed, re.MULTILINE)) == 1
    # More than 25 s, so that one signal would not have been enough.
    share, took = re.findall(r"lit for ([\d.]+)% of the ([\d.]+) s from", demo.printed)[0]
    assert float(share) >= 99
    assert float(took) > 30
    assert demo.printed.count("still typing") >= 2
    assert demo.processes() == []
    assert list(demo.folder.glob("b24-demo-*")) == []


@pytest.mark.airflow
def test_interrupted(start: Callable[..., Demo]) -> None:
    demo = start("tools/demo.py")
    demo.read_until(r"is up$")
    assert demo.processes()
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 130, demo.printed
    assert demo.processes() == []
    assert list(demo.folder.glob("b24-demo-*")) == []


@pytest.mark.airflow
def test_failed_report_is_told(start: Callable[..., Demo]) -> None:
    demo = start("-c", WITHOUT_CRM)
    assert demo.end() == 1, demo.printed
    assert re.search(r"the task report is failed", demo.printed), demo.printed
    assert re.search(r"AirflowFailException: crm\.item\.list: .*scope", demo.printed), demo.printed
    assert demo.processes() == []
    # The logs are left for whoever wants to know more.
    assert list(demo.folder.glob("b24-demo-*/logs"))


@pytest.mark.parametrize(
    ("messages", "share", "good"), [(1, 0.99, True), (1, 0.9899, False), (2, 1.0, False), (0, 1.0, False)]
)
def test_what_is_good(messages: int, share: float, good: bool) -> None:
    message = Message(1, CHAT, 1, "text", datetime.now(timezone.utc))
    assert Outcome([message] * messages, 0.0, (0.0, 1.0), share, share).good is good


def test_watch_tells_what_happens_in_the_chat(capsys: pytest.CaptureFixture[str]) -> None:
    with FakePortal() as portal:
        portal.add_message(CHAT, 2, "before")
        watch = Watch(portal)
        company, chat = portal.company, portal.chat(CHAT)
        for happens in (
            lambda: company.signal(chat, 1),
            lambda: company.signal(chat, 1),
            lambda: portal.add_message(CHAT, 1, "The report\nof two lines"),
            lambda: None,
        ):
            happens()
            watch.look()
    told = [line.split(" s  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert told == ["Anna Petrova is typing…", "still typing", "message 84804: The report …", "the indicator is out"]


def test_a_port_in_use_is_not_taken() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert free_port(port) not in (0, port)
    assert free_port(port) == port
