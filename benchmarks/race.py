"""Clients in processes of their own against a fake portal in this one, which does nothing else meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from airflow_provider_b24.testing import FakePortal, Fault


@dataclass
class Figures:
    """What one client did.

    :ivar cpu: seconds of processor time.
    :ivar megabytes: by how much its memory grew at most.
    :ivar kept: the ids or numbers of the rows, in its order.
    :ivar error: what ended it.
    """

    seconds: float
    cpu: float
    megabytes: float
    kept: array[int] = field(repr=False)
    error: str = ""

    def missing(self, wanted: set[int]) -> int:
        """How many of these rows it has not."""
        return len(wanted - set(self.kept))

    @property
    def twice(self) -> int:
        """How many rows it has more than once."""
        return len(self.kept) - len(set(self.kept))


@dataclass
class Heat:
    """What happened when some clients ran at once."""

    clients: list[Figures]
    requests: int
    refused: int
    connections: int
    most_at_once: int

    @property
    def seconds(self) -> float:
        """Until the last one was done."""
        return max(one.seconds for one in self.clients)


class Course:
    """A portal, and a small one beside it for what is to be loaded before the work begins.

    :param options: of the portal.
    """

    def __init__(self, **options: Any) -> None:
        self.portal = FakePortal(**options)
        self._limited = options.get("bucket") is not None
        self._warm = FakePortal(seed_deals=60)
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Course:
        self.portal.start()
        self._warm.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.portal.stop()
        self._warm.stop()
        self._folder.cleanup()

    def run(
        self,
        task: str,
        client: str,
        *,
        times: int = 1,
        width: int | None = None,
        count: int = 0,
        items: bool = False,
        fault: Fault | None = None,
    ) -> Heat:
        """Have a client do something.

        :param times: so many processes do it at once.
        :param width: how many requests each may have under way; None for its own choice.
        :param count: rows to write, or calls to make.
        :param items: whether it reads ``crm.item.list``, and not ``crm.deal.list``.
        :param fault: what befalls the portal, once the work has begun.
        """
        job = {
            "task": task,
            "client": client,
            "url": self.portal.webhook_url,
            "warm": self._warm.webhook_url,
            "limited": self._limited,
            "width": width,
            "count": count,
            "items": items,
        }
        files = [os.path.join(self._folder.name, str(number)) for number in range(times)]
        children = [_started({**job, "out": file}) for file in files]
        try:
            for child in children:
                _line(child)
            self.portal.clear()
            if fault is not None:
                self.portal.faults.add(replace(fault, hits=0))
            for child in children:
                assert child.stdin is not None
                child.stdin.write("go\n")
                child.stdin.flush()
            answers = [json.loads(_line(child)) for child in children]
        finally:
            for child in children:
                child.kill()
                child.communicate()
        calls = self.portal.requests
        return Heat(
            [Figures(kept=_read(file), **answer) for file, answer in zip(files, answers, strict=True)],
            requests=len(calls),
            refused=sum(call.error == "QUERY_LIMIT_EXCEEDED" for call in calls),
            connections=len({call.source_port for call in calls}),
            most_at_once=self.portal.most_at_once,
        )


def _started(job: dict[str, Any]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.clients", json.dumps(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("B24_BENCHMARK_STDERR") else subprocess.DEVNULL,
        text=True,
    )


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise RuntimeError("a client ended before its time")
    return line


def _read(file: str) -> array[int]:
    kept = array("q")
    with open(file, "rb") as stored:
        kept.frombytes(stored.read())
    return kept


def middle(figures: Iterable[float]) -> float:
    """The median."""
    return median(list(figures))
