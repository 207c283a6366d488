"""The main job, as a user sees it: a report is made in Airflow, and the chat shows "is typing…" until it is posted.

usage: python tools/demo.py [--keep]

Starts a Bitrix24 portal with 5,000 deals and an Airflow on loopback, runs the DAG ``weekly_report`` of
example_dags/, prints what happens in the chat, and stops everything. The exit status is 0 only if exactly one
message arrived and the typing indicator was lit for at least 99 % of the time that the report took.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pendulum

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script, it knows its own folder only

from airflow_provider_b24.testing import FakePortal, Fault  # noqa: E402
from airflow_provider_b24.testing.records import Message  # noqa: E402
from tools.demo_airflow import Airflow, DemoError, free_port  # noqa: E402

DAG, TASK, CHAT = "weekly_report", "report", "chat2935"
DEALS = 5_000
# As a portal in the cloud is, on its standard plan: 50 requests at once and 2 a second; a tenth of a second for
# any answer, and more than a second for a page of deals, as where there are many.
BUCKET = (50, 2.0)
LATENCY = 0.1
LIST_SECONDS = 1.2
PORTAL_PORT, AIRFLOW_PORT = 8024, 8080
LEAST_SHARE = 0.99
RUN_SECONDS = 180.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FIRST_LINE = "The report begins"  # what the report's function writes to its log first


@dataclass(frozen=True)
class Outcome:
    """What came of the run.

    :ivar messages: those that arrived in the chat, whoever wrote them.
    :ivar began: when the report's function began (epoch seconds).
    :ivar task: when Airflow says that the task started and ended.
    :ivar share: of the time from ``began`` to the first message, how much was lit (0 to 1).
    :ivar task_share: of the task's time, how much was lit.
    """

    messages: list[Message]
    began: float
    task: tuple[float, float]
    share: float
    task_share: float

    @property
    def good(self) -> bool:
        """Whether it is as promised."""
        return len(self.messages) == 1 and self.share >= LEAST_SHARE


class Watch:
    """Prints what happens in the chat, at the time it happens."""

    def __init__(self, portal: FakePortal) -> None:
        self._portal = portal
        self._begin = time.time()
        self._signals = len(portal.signals(CHAT))
        self._messages = len(portal.messages(CHAT))
        self._lit = False

    def look(self) -> None:
        """Print what is new."""
        portal = self._portal
        signals, messages = portal.signals(CHAT), portal.messages(CHAT)
        lit = bool(portal.chat(CHAT).lit(time.time()))
        for signal_ in signals[self._signals :]:
            self._say(signal_.time, "still typing" if self._lit else "Anna Petrova is typing…")
            self._lit = True
        for message in messages[self._messages :]:
            first, *more = message.text.splitlines()
            self._say(message.date.timestamp(), f"message {message.id}: {first}" + (" …" if more else ""))
        if self._lit and not lit:
            self._say(time.time(), "the indicator is out")
        self._signals, self._messages, self._lit = len(signals), len(messages), lit

    def _say(self, moment: float, what: str) -> None:
        at = datetime.fromtimestamp(moment).astimezone()
        print(f"  {at:%H:%M:%S}  {moment - self._begin:+6.1f} s  {what}", flush=True)


def run_dag(airflow: Airflow, portal: FakePortal) -> Outcome:
    """Trigger the DAG and wait for its end.

    :raises DemoError: if it does not come to a good one.
    """
    for _ in airflow.poll(60, f"Airflow does not know the DAG {DAG}"):
        known = airflow.request("GET", "/api/v2/dags")["dags"]
        if any(dag["dag_id"] == DAG for dag in known):
            break
        errors = airflow.request("GET", "/api/v2/importErrors")["import_errors"]
        if errors:
            raise DemoError("\n".join(f"{error['filename']}\n{error['stack_trace']}" for error in errors))
    before = len(portal.messages(CHAT))
    airflow.request("PATCH", f"/api/v2/dags/{DAG}", {"is_paused": False})
    run_id = airflow.request("POST", f"/api/v2/dags/{DAG}/dagRuns", {"logical_date": None})["dag_run_id"]
    run = f"/api/v2/dags/{DAG}/dagRuns/{run_id}"
    print(f"The DAG {DAG} is triggered: {airflow.url}/dags/{DAG}/runs/{run_id}", flush=True)

    watch = Watch(portal)
    looked = 0.0
    for _ in airflow.poll(RUN_SECONDS, "the report did not come", pause=0.05):
        watch.look()
        if time.monotonic() - looked < 1:
            continue
        looked = time.monotonic()
        task = airflow.request("GET", f"{run}/taskInstances/{TASK}")
        if task["state"] in ("failed", "up_for_retry", "upstream_failed"):
            raise DemoError(f"the task {TASK} is {task['state']}\n{task_log(airflow, run)}")
        if airflow.request("GET", run)["state"] == "success":
            break
    watch.look()
    task = airflow.request("GET", f"{run}/taskInstances/{TASK}")
    messages = portal.messages(CHAT)[before:]
    if not messages:
        raise DemoError(f"the task {TASK} succeeded and posted nothing\n{task_log(airflow, run)}")
    began = next((moment for moment, line in log_lines(airflow, run) if line == FIRST_LINE), None)
    if began is None:
        raise DemoError(f"{FIRST_LINE!r} is not in the log of the task\n{task_log(airflow, run)}")
    started, ended = epoch(task["start_date"]), epoch(task["end_date"])
    return Outcome(
        messages,
        began,
        (started, ended),
        portal.lit_share(CHAT, began, messages[0].date.timestamp()),
        portal.lit_share(CHAT, started, ended),
    )


def epoch(text: str) -> float:
    """Seconds since the epoch. Python 3.10 does not read all that Airflow writes, pendulum does."""
    moment = pendulum.parse(text)
    assert isinstance(moment, pendulum.DateTime)
    return moment.timestamp()


def log_lines(airflow: Airflow, run: str) -> list[tuple[float, str]]:
    """The task's log: times and lines."""
    lines: list[dict[str, Any]] = airflow.request("GET", f"{run}/taskInstances/{TASK}/logs/1?full_content=true")[
        "content"
    ]
    found = []
    for line in lines:
        if isinstance(line, dict) and line.get("timestamp"):
            moment = epoch(line["timestamp"])
            errors = [f"  {error['exc_type']}: {error['exc_value']}" for error in line.get("error_detail") or []]
            found.append((moment, "\n".join([line["event"], *errors])))
    return found


def task_log(airflow: Airflow, run: str) -> str:
    """The last lines of the task's log."""
    try:
        lines = [line for _, line in log_lines(airflow, run)]
    except DemoError as error:
        lines = [f"(the log could not be read: {error})"]
    return "\n".join([f"--- log of {DAG}.{TASK}:", *lines[-25:]])


def tell(outcome: Outcome) -> None:
    """Print the figures."""
    first = outcome.messages[0]
    took = first.date.timestamp() - outcome.began
    started, ended = outcome.task
    print(f"\n{first.text}\n")
    print(f"Message ids: {', '.join(str(message.id) for message in outcome.messages)}")
    print(f"Typing was lit for {outcome.share:.2%} of the {took:.1f} s from the report's first line to its message,")
    print(f"and for {outcome.task_share:.2%} of the {ended - started:.1f} s that Airflow counts for the whole task")
    print("(with the start of its process before, and the end of it after the message).")
    if len(outcome.messages) != 1:
        print(f"NOT as promised: {len(outcome.messages)} messages arrived instead of 1.")
    if outcome.share < LEAST_SHARE:
        print(f"NOT as promised: the indicator was to be lit for {LEAST_SHARE:.0%} of the time.")


def open_portal() -> FakePortal:
    """Start the portal, on its usual port or any free one."""
    for port in (PORTAL_PORT, 0):
        portal = FakePortal(port, seed_deals=DEALS, bucket=BUCKET, latency=LATENCY)
        try:
            portal.start()
        except OSError:
            print(f"      (port {port} is in use, so another one is taken)")
            continue
        for together in (False, True):
            slow = Fault("slow", method="crm.item.list", seconds=LIST_SECONDS, times=None, in_batch=together)
            portal.faults.add(slow)
        portal.add_message(CHAT, 4, "Good morning! The board meets at ten. Where are [b]last week's figures[/b]?")
        portal.add_message(CHAT, 3, "On their way, the report is about to be made.")
        return portal
    raise DemoError("the portal found no free port")


def show(keep: bool) -> bool:
    """Run the demo; True if all was as promised."""
    home = Path(tempfile.mkdtemp(prefix="b24-demo-"))
    airflow: Airflow | None = None
    portal: FakePortal | None = None
    begun = time.monotonic()
    good = keep_logs = False
    try:
        print(f"[1/4] A Bitrix24 portal with {DEALS:,} deals …", flush=True)
        portal = open_portal()
        print(f"      chat page: {portal.url}/?dialog={CHAT}", flush=True)
        print("[2/4] Airflow's database …", flush=True)
        port = free_port(AIRFLOW_PORT)
        if port != AIRFLOW_PORT:
            print(f"      (port {AIRFLOW_PORT} is in use, so Airflow takes {port})")
        connections = {"bitrix24_default": json.dumps(portal.connection())}
        airflow = Airflow(home, ROOT / "example_dags", port, connections)
        airflow.migrate()
        print("[3/4] Airflow: API server, scheduler, DAG processor, triggerer …", flush=True)
        airflow.start(lambda name: print(f"      {name} is up", flush=True))
        print(f"      {airflow.url} ({time.monotonic() - begun:.0f} s so far)", flush=True)
        print("[4/4] The report", flush=True)
        outcome = run_dag(airflow, portal)
        tell(outcome)
        good = outcome.good
        if keep:
            print(f"\nChat page  {portal.url}/?dialog={CHAT}\nAirflow    {airflow.url}")
            print(f"Webhook    {portal.webhook_url}\nBoth stay up until Ctrl-C.", flush=True)
            with suppress(KeyboardInterrupt):
                signal.pause()
    except DemoError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        print(f"\nAirflow's logs are in {home}", file=sys.stderr)
        keep_logs = True
    finally:
        # Nothing may break off the clearing up, which ends by itself.
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        print("Stopping …", flush=True)
        killed = airflow.stop() if airflow else []
        if portal:
            portal.stop()
        if killed:
            print(f"{len(killed)} of Airflow's processes did not stop in time and were killed.")
        if not keep_logs:
            shutil.rmtree(home, ignore_errors=True)
        print(f"Stopped after {time.monotonic() - begun:.0f} s.", flush=True)
    return good


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A report in a chat, on a real Airflow and a portal on loopback.")
    parser.add_argument("--keep", action="store_true", help="leave Airflow and the portal up until Ctrl-C")
    keep = parser.parse_args().keep

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    # SIGINT, too: where the demo is started in the background, Python finds it ignored and leaves it so.
    for number in STOPPING:
        signal.signal(number, stop)
    try:
        return 0 if show(keep) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
