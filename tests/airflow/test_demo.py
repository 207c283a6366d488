"""The demo, as ``make demo`` runs it: what it promises, and what it leaves behind."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import psutil
import pytest

from airflow_provider_b24.testing import FakePortal, Message
from tests.early import Place
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


@dataclass(frozen=True)
class Told:
    """What came of a demo.

    :ivar status: its exit status.
    :ivar printed: all that it printed.
    :ivar left: its processes that were still there.
    :ivar folders: what was still there of its temporary files.
    """

    status: int
    printed: str
    left: list[str]
    folders: list[str]


class Demo:
    """A demo in a process of its own, whose temporary files are in a folder of its own."""

    def __init__(self, place: Place, *arguments: str) -> None:
        environ = {name: value for name, value in place.environ.items() if not name.startswith("AIRFLOW")}
        environ |= {"TMPDIR": str(place.folder), "PYTHONUNBUFFERED": "1"}
        self.process = place.start(sys.executable, *arguments, cwd=ROOT, env=environ)
        self.folder = place.folder
        self.seen: list[str] = []

    def read_until(self, pattern: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError(f"{pattern!r} was not printed, but:\n{''.join(self.seen)}")

    def end(self) -> Told:
        assert self.process.stdout is not None
        self.seen.extend(self.process.stdout)
        status = self.process.wait(30)
        left = self.processes()
        names = [str(process) for process in left]
        for process in left:
            process.kill()
        homes = list(self.folder.glob("b24-demo-*"))
        return Told(
            status, "".join(self.seen), names, [path.name for home in homes for path in (home, *home.iterdir())]
        )

    def processes(self) -> list[psutil.Process]:
        """Airflow's processes: all of them work in a folder of the demo's."""
        return [one for one in psutil.process_iter() if _works_in(one, self.folder)]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return folder in Path(process.cwd()).parents
    except psutil.Error:
        return False


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


@dataclass(frozen=True)
class Whole(Told):
    """Also what was there while the report was made.

    :ivar commands: of Airflow's processes.
    :ivar listening: the addresses at which anything of the demo listened.
    """

    commands: str
    listening: set[str]


def whole_demo(place: Place) -> Whole:
    """A report from the beginning to the end, although its usual ports are in use."""
    with in_use(8024, 8080):
        demo = Demo(place, "tools/demo.py")
        demo.read_until(r"Anna Petrova is typing…")
        listening = {
            connection.laddr.ip
            for process in [*demo.processes(), psutil.Process(demo.process.pid)]
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        commands = " ".join(" ".join(process.cmdline()) for process in demo.processes())
        told = demo.end()
    return Whole(**vars(told), commands=commands, listening=listening)


@pytest.mark.airflow
@pytest.mark.early(of=whole_demo)
def test_report_arrives_once_with_typing_all_the_time(early: Whole) -> None:
    assert early.status == 0, early.printed
    assert early.listening == {"127.0.0.1"}
    for name in ("scheduler", "triggerer", "dag-processor"):
        assert name in early.commands
    assert early.printed.count("is in use") == 2
    assert len(re.findall(r"^  \S+ +\S+ s  message \d+: \[B\]Sales report", early.printed, re.MULTILINE)) == 1
    # More than 25 s, so that one signal would not have been enough.
    share, took = re.findall(r"lit for ([\d.]+)% of the ([\d.]+) s from", early.printed)[0]
    assert float(share) >= 99
    assert float(took) > 30
    assert early.printed.count("still typing") >= 2
    assert early.left == []
    assert early.folders == []


def interrupted_demo(place: Place) -> Told:
    """Somebody presses Ctrl+C while Airflow starts."""
    demo = Demo(place, "tools/demo.py")
    demo.read_until(r"is up$")
    assert demo.processes()
    demo.process.send_signal(signal.SIGINT)
    return demo.end()


@pytest.mark.airflow
@pytest.mark.early(of=interrupted_demo)
def test_interrupted(early: Told) -> None:
    assert early.status == 130, early.printed
    assert early.left == []
    assert early.folders == []


def demo_without_crm(place: Place) -> Told:
    """The report fails."""
    return Demo(place, "-c", WITHOUT_CRM).end()


@pytest.mark.airflow
@pytest.mark.early(of=demo_without_crm)
def test_failed_report_is_told(early: Told) -> None:
    assert early.status == 1, early.printed
    assert re.search(r"the task report is failed", early.printed), early.printed
    assert re.search(r"AirflowFailException: crm\.item\.list: .*scope", early.printed), early.printed
    assert early.left == []
    # The logs are left for whoever wants to know more.
    assert "logs" in early.folders


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
