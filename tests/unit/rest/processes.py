"""Real processes that share a ledger with the test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_provider_b24.rest.ledger import Ledger

Start = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def starting() -> Iterator[Start]:
    """Starts Python processes with some code and arguments; they end with the block."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            with process:
                pass


def said(process: subprocess.Popen[str]) -> str:
    """The next line of what it says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def count(ledger: Ledger, key: str = "count") -> int:
    """Add one to the number in a record."""

    def change(record: bytes | None, now: float) -> tuple[bytes, int]:
        number = int(record or 0) + 1
        return str(number).encode(), number

    return ledger.update(key, change)
