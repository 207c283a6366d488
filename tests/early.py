"""What takes long and is a process of its own: begun when the tests begin, on the core that they leave idle.

A test that is marked ``early(of=function)`` finds what the function returned in the fixture ``early``. The functions of
the tests that were selected run one after the other in a thread, while other tests are at work; the tests that wait
for them come last. What a function raises is raised in each of its tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

STOP_SECONDS = 60


class Place:
    """Where such a function works.

    :ivar folder: its own, empty.
    :ivar environ: the variables as they were before any test changed them.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.environ = dict(environ)
        self._lock = threading.Lock()
        self._over = False
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, *command: str | Path, **more: Any) -> subprocess.Popen[str]:
        """Start a process that prints text, errors among the rest unless told otherwise.

        :raises RuntimeError: if the tests are over.
        """
        fixed: dict[str, Any] = {"env": self.environ, "stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        with self._lock:
            if self._over:
                raise RuntimeError("the tests are over")
            # A session of its own: a Ctrl+C in the terminal is for pytest, which stops it in order.
            process = subprocess.Popen(
                list(map(str, command)), **{**fixed, **more}, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
            self._processes.append(process)
        return process

    def run(self, *command: str | Path, **more: Any) -> str:
        """What a command prints; its errors are part of the failure.

        :raises AssertionError: if it fails.
        """
        process = self.start(*command, stderr=subprocess.PIPE, **more)
        printed, errors = process.communicate()
        assert process.returncode == 0, f"{command}\n{printed}\n{errors}"
        return printed

    def end(self) -> None:
        """Stop what is still at work."""
        with self._lock:
            self._over = True
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


class Early:
    """The functions, and what came of them.

    :param folder: for all of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environ = dict(os.environ)
        self._pool = ThreadPoolExecutor(1, "early")
        self._places: list[Place] = []
        self._begun: dict[Callable[[Place], Any], Future[Any]] = {}

    def begin(self, items: Iterable[pytest.Item]) -> None:
        """Begin what these tests wait for."""
        for function in filter(None, map(function_of, items)):
            if function not in self._begun:
                folder = self._folder / f"{len(self._places)}-{function.__name__}"
                folder.mkdir(parents=True)
                place = Place(folder, self._environ)
                self._places.append(place)
                self._begun[function] = self._pool.submit(function, place)

    def result(self, item: pytest.Item) -> Any:
        """What came of the function of this test, which may have to be waited for."""
        function = function_of(item)
        assert function, f"{item.nodeid} is not marked early"
        return self._begun[function].result()

    def end(self) -> None:
        """Leave nothing at work."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for place in self._places:
            place.end()
        self._pool.shutdown()


def function_of(item: pytest.Item) -> Callable[[Place], Any] | None:
    """What a test is marked with."""
    mark = item.get_closest_marker("early")
    return mark.kwargs["of"] if mark else None
