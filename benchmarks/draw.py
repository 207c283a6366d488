"""What a draw from the request limit costs before a call: on the host's disk, and through Redis, beside memory."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from statistics import median

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.ledger import HostLedger, Ledger, MemoryLedger
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.redis_ledger import RedisLedger
from airflow_provider_b24.rest.shared import SharedBucket
from benchmarks.result import Result
from benchmarks.servers import redis

DRAWS = 2_000
ROUNDS = 7
DISK_BUDGET, REDIS_BUDGET = 100e-6, 2e-3


def cost(ledger: Ledger) -> Callable[[], float]:
    """Measures seconds a draw."""
    # So fast a portal that nobody waits: a draw costs the same, but a thousandth of the draws would be tickets.
    bucket = SharedBucket(ledger, Address("https", "portal.example"), Plan(1e9, 1e9))

    def measure() -> float:
        begin = time.perf_counter()
        for _ in range(DRAWS):
            assert bucket.draw().ready
        return (time.perf_counter() - begin) / DRAWS

    return measure


def main() -> list[Result]:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        results = [_compare("on the host's disk", HostLedger(f"{folder}/ledger"), DISK_BUDGET)]
    if shutil.which("redis-server") is None:
        print("  a draw through Redis is not measured: redis-server is missing (Debian: apt-get install redis-server)")
        return results
    with redis() as url:
        return [*results, _compare("through Redis", RedisLedger(url, MemoryLedger()), REDIS_BUDGET)]


def _compare(where: str, ledger: Ledger, budget: float) -> Result:
    memory, shared = cost(MemoryLedger()), cost(ledger)
    rounds = [(memory(), shared()) for _ in range(ROUNDS)]
    bare, ours = (median(times) for times in zip(*rounds, strict=True))
    return Result(
        f"a draw {where} beside one in memory",
        ratio=ours / bare,
        details=f"{ours * 1e6:.0f} beside {bare * 1e6:.1f} microseconds; budget {budget * 1e6:.0f}",
        good=ours <= budget,
    )


if __name__ == "__main__":
    for result in main():
        print(result)
