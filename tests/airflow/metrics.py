"""A StatsD server that only listens, on loopback."""

from __future__ import annotations

import socket
import threading
from collections import Counter


class Metrics:
    """Counts what Airflow's components report.

    :ivar port: where it listens, UDP.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._lines: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def settings(self) -> dict[str, str]:
        """What Airflow's environment needs."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self.port),
            "AIRFLOW__METRICS__METRICS_ALLOW_LIST": "bitrix24",
        }

    def count(self, name: str) -> int:
        """How often it was reported."""
        return self._lines[f"airflow.{name}"]

    def names(self) -> list[str]:
        """All that was reported so far."""
        return sorted(self._lines)

    def close(self) -> None:
        # A datagram to itself wakes it up.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()

    def _listen(self) -> None:
        while text := self._socket.recv(65536).decode(errors="replace"):
            for line in text.splitlines():
                self._lines[line.partition(":")[0]] += 1
