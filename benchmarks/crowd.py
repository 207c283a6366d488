"""A thousand dialogs of one portal that one triggerer keeps lit, beside one request for each signal.

usage: python -m benchmarks.crowd [--minutes N] [--dialogs N] [PART ...]

A real ``airflow triggerer`` holds a thousand waiting tasks, once for each part:

- ``airflow``: with a trigger of Airflow's own that sleeps, which is the least that a thousand triggers cost.
- ``keep_for``: ours, until a point in time, against a portal that takes 2 requests a second; for all the minutes,
  every other part for a fifth of them.
- ``naive``: one request for each signal.
- ``runs``: ours, while another task works, in a thousand runs of one DAG.
- ``parts``: the same beside a task of one run that has a thousand parts.

What is measured is time of processors, which other work on the machine changes little, and what the portal has seen.
It takes about 20 minutes. The exit status is 1 if a budget is missed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
import sqlite3
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from airflow_provider_b24.testing import FakePortal
from benchmarks.result import Result
from tests.airflow.components import Component, environment

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("airflow", "keep_for", "naive", "runs", "parts")
MINUTES, DIALOGS = 5.0, 1000
BURST, RATE = 50, 2.0
MOST_CORES, LEAST_LIT, MOST_REQUESTS = 0.10, 0.999, 2.0
# From when all triggers are taken up until all is as it stays.
RAMP_SECONDS = 45.0
# Of so many watched tasks it is measured how soon their end is noticed.
ENDED = 20

Row = tuple[str, str, int, str, tuple[str, dict[str, Any]] | None]
"""Run id, task id, map index, state, and the class path and arguments of the trigger."""


@dataclass
class Part:
    """What was measured while the triggerer held its tasks.

    :ivar seconds: how long that was.
    :ivar cores: time of its processors, as a share of one core.
    :ivar ramp: seconds of that time until then, from its start.
    :ivar megabytes: resident memory at the end.
    :ivar requests: when requests came to the portal.
    :ivar refused: how many of them it refused because there were too many.
    :ivar signals: how many signals it took.
    :ivar lit: the share of the time in which each dialog was lit.
    :ivar noticed: seconds from the end of watched tasks until the tasks beside them were woken.
    """

    seconds: float
    cores: float
    ramp: float
    megabytes: float
    requests: list[float] = field(default_factory=list)
    refused: int = 0
    signals: int = 0
    lit: list[float] = field(default_factory=list)
    noticed: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.requests) / self.seconds

    @property
    def darkest(self) -> float:
        """The share of the time in which the dialog was lit that was so least."""
        return min(self.lit, default=0.0)

    @property
    def most_at_once(self) -> int:
        """The most requests within a second."""
        times = self.requests
        return max((bisect_left(times, at + 1) - index for index, at in enumerate(times)), default=0)

    def __str__(self) -> str:
        words = [f"{self.cores * 100:5.1f} % of a core", f"{self.ramp:4.0f} s to begin", f"{self.megabytes:4.0f} MB"]
        if self.requests:
            words += [
                f"{self.rate:5.2f} requests/s (at most {self.most_at_once} in one second, {self.refused} refused)",
                f"{self.signals / self.seconds:4.1f} signals/s",
                f"lit {self.darkest * 100:.2f} % of {self.seconds:.0f} s at least",
            ]
        if self.noticed:
            words.append(f"ends noticed in {median(self.noticed):.1f} s, {max(self.noticed):.1f} s at most")
        return "; ".join(words)


class Crowd:
    """An Airflow that consists of a database and a triggerer, and a portal with a dialog for each task.

    :param home: the AIRFLOW_HOME, an empty folder.
    """

    def __init__(self, home: Path, portal: FakePortal, dialogs: int) -> None:
        self.home = home
        self.portal = portal
        self.dialogs = [portal.add_chat(f"Team {number}") for number in range(dialogs)]
        self._environ = environment(home, ROOT / "benchmarks" / "dags", {}) | {
            "PYTHONPATH": str(ROOT),
            "B24_LEDGER_DIR": str(home / "ledger"),
            "AIRFLOW__TRIGGERER__CAPACITY": str(dialogs),
            # As Airflow is set where nobody sets it; the tests are in a hurry.
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "5",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
        }
        self._run("airflow", "db", "migrate")
        self._run("airflow", "dags", "reserialize")
        # In the database, where it is asked for through the triggerer's supervisor.
        self._run("airflow", "connections", "add", "crowd", "--conn-json", json.dumps(portal.connection()))

    def measure(self, name: str, seconds: float) -> Part:
        """Let the triggerer hold the tasks of a part for so long."""
        self.portal.clear()
        rows = self._rows(name)
        with self._holding(rows) as processes:
            time.sleep(RAMP_SECONDS)
            ramp, begin, clock = _processor_time(processes), time.time(), time.monotonic()
            time.sleep(seconds)
            spent, end, length = _processor_time(processes) - ramp, time.time(), time.monotonic() - clock
            megabytes = sum(process.memory_info().rss for process in processes) / 2**20
            noticed = self._end_tasks(name) if name in {"runs", "parts"} else []
        calls = [call for call in self.portal.calls if begin <= call.time < end]
        return Part(
            length,
            spent / length,
            ramp,
            megabytes,
            requests=[call.time for call in calls if not call.in_batch],
            refused=sum(call.error == "QUERY_LIMIT_EXCEEDED" for call in self.portal.requests),
            signals=sum(call.method == "im.dialog.writing" and call.status == 200 for call in calls),
            lit=[self.portal.lit_share(dialog, begin, end) for dialog in self.dialogs] if calls else [],
            noticed=noticed,
        )

    def _rows(self, name: str) -> Iterator[Row]:
        until = (dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=3)).isoformat()
        for number, dialog in enumerate(self.dialogs):
            run_id, index = (
                (f"manual__2026-11-20T14:00:00+00:00_{number:08}", -1) if name == "runs" else ("run", number)
            )
            kwargs: dict[str, Any] = {"bitrix24_conn_id": "crowd", "dialog_id": dialog, "interval": 12.0}
            path = "airflow_provider_b24.triggers.dialog.DialogWritingTrigger"
            if name == "airflow":
                path = "airflow.providers.standard.triggers.temporal.DateTimeTrigger"
                kwargs = {"target_time": until}
            elif name == "naive":
                path = "benchmarks.naive.NaiveTrigger"
                kwargs = {"conn_id": "crowd", "dialog_id": dialog, "until": until}
            elif name == "keep_for":
                kwargs["until"] = until
            else:
                kwargs |= {"task_ids": ["work"], "dag_id": "crowd", "run_id": run_id, "poll_interval": 2.0}
                yield run_id, "work", index, "running", None
            yield run_id, "typing", index, "deferred", (path, kwargs)

    @contextmanager
    def _holding(self, rows: Iterator[Row]) -> Iterator[list[psutil.Process]]:
        """Run the triggerer; begins when it has taken up all triggers, and gives its processes."""
        self._run(sys.executable, "-m", "benchmarks.rows", text=json.dumps(list(rows)))
        component = Component(("triggerer", "--skip-serve-logs"), self._environ, self.home / "triggerer.log")
        component.start()
        try:
            self._await(lambda: self._count("triggerer_id IS NOT NULL", "trigger") == len(self.dialogs))
            process = psutil.Process(component.process.pid)
            yield [process, *process.children(recursive=True)]
            if not component.is_running:
                raise RuntimeError(f"the triggerer has ended\n{component.tail()}")
        finally:
            if component.is_running:
                component.stop()

    def _end_tasks(self, name: str) -> list[float]:
        """Let watched tasks end; for each task beside one, seconds until it was woken."""
        watched = [number * len(self.dialogs) // ENDED for number in range(ENDED)]
        ids = [f"manual__2026-11-20T14:00:00+00:00_{number:08}" for number in watched] if name == "runs" else ["run"]
        which = f"run_id IN ({', '.join(map(repr, ids))})"
        typing = self._count(f"task_id = 'typing' AND state = 'deferred' AND {which}")
        with closing(self._database()) as database:
            database.execute(f"UPDATE task_instance SET state = 'success' WHERE task_id = 'work' AND {which}")
            database.commit()
        begin = time.monotonic()
        noticed: list[float] = []

        def all_woken() -> bool:
            woken = typing - self._count(f"task_id = 'typing' AND state = 'deferred' AND {which}")
            noticed.extend([time.monotonic() - begin] * (woken - len(noticed)))
            return woken == typing

        self._await(all_woken)
        return noticed

    def _count(self, which: str, table: str = "task_instance") -> int:
        with closing(self._database()) as database:
            return int(database.execute(f"SELECT count(*) FROM {table} WHERE {which}").fetchone()[0])

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.home / "airflow.db", timeout=30)

    def _await(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 300
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError("it did not happen within 5 minutes; the triggerer says in " + str(self.home))
            time.sleep(0.1)

    def _run(self, *command: str, text: str | None = None) -> None:
        done = subprocess.run(
            command, env=self._environ, cwd=ROOT, input=text, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[:3])}\n{done.stdout}\n{done.stderr}")


def _processor_time(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def main(minutes: float = MINUTES, dialogs: int = DIALOGS, chosen: Sequence[str] = PARTS) -> list[Result]:
    """Measure and print."""
    parts: dict[str, Part] = {}
    with tempfile.TemporaryDirectory() as home, FakePortal(bucket=(BURST, RATE)) as portal:
        crowd = Crowd(Path(home), portal, dialogs)
        for name in chosen:
            parts[name] = part = crowd.measure(name, minutes * 60 / (1 if name == "keep_for" else 5))
            print(f"  {name:<10}{part}", flush=True)
    if not {"airflow", "keep_for", "naive"} <= set(parts):
        return []
    ours, naive = parts["keep_for"], parts["naive"]
    more, much_more = (part.cores - parts["airflow"].cores for part in (ours, naive))
    good = more < MOST_CORES and ours.rate <= MOST_REQUESTS and not ours.refused and ours.darkest >= LEAST_LIT
    return [
        Result(
            f"processor time to keep {dialogs} dialogs lit, beside one request for each signal",
            ratio=more / much_more,
            details=f"{more * 100:.1f} beside {much_more * 100:.1f} % of a core, on top of Airflow's own "
            f"{parts['airflow'].cores * 100:.1f} %; {ours.rate:.2f} requests/s beside {naive.rate:.0f}, "
            f"{ours.refused} refused beside {naive.refused}, the darkest dialog lit {ours.darkest * 100:.2f} % of "
            f"{ours.seconds:.0f} s beside {naive.darkest * 100:.1f} % of {naive.seconds:.0f} s; budget "
            f"{MOST_CORES * 100:.0f} % of a core, {MOST_REQUESTS:.0f} requests/s, 0 refused, {LEAST_LIT * 100:.1f} %",
            good=good,
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of the part keep_for (%(default)s)")
    parser.add_argument("--dialogs", type=int, default=DIALOGS, help="how many (%(default)s)")
    parser.add_argument("parts", metavar="PART", nargs="*", help=f"only these of {', '.join(PARTS)}")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    results = main(given.minutes, given.dialogs, given.parts or PARTS)
    for result in results:
        print(result)
    sys.exit(not all(result.good for result in results))
