"""Calls at once against a portal that takes 50 and then 2 a second: none may be refused, and no time be lost.

In real time, so it takes three minutes: 200 calls of one process, by threads and by coroutines, and 4 processes with
100 calls each, all side by side on portals of their own. Beside each stands the time that the limit leaves at best.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.result import Result

BURST, RATE = 50, 2.0
BUDGET = 1.05

# name, and what each process is: how it calls, and how often
CASES = {
    "200 calls at once, by threads": [("threads", 200)],
    "200 calls at once, by coroutines": [("coroutines", 200)],
    "4 processes with 100 calls each": [("threads", 100), ("coroutines", 100)] * 2,
}


def measure(name: str, processes: list[tuple[str, int]], ledger: str) -> Result:
    """Have the calls made."""
    from airflow_provider_b24.testing import FakePortal

    total = sum(times for _, times in processes)
    ideal = (total - BURST) / RATE
    with FakePortal(bucket=(BURST, RATE)) as portal:
        environment = {
            **os.environ,
            "AIRFLOW_CONN_BENCHMARK": json.dumps(portal.connection()),
            "B24_LEDGER_DIR": ledger,
        }
        children = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.limit", kind, str(times)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for kind, times in processes
        ]
        try:
            for child in children:
                _expect(child, "ready")
            begin = time.perf_counter()
            for child in children:
                assert child.stdin is not None
                child.stdin.write("go\n")
                child.stdin.flush()
            for child in children:
                _expect(child, "done")
            seconds = time.perf_counter() - begin
        finally:
            for child in children:
                child.kill()
                child.communicate()
        refused = sum(call.status != 200 for call in portal.calls)
        answered = len(portal.calls) - refused
    return Result(
        f"{name}, beside what the limit of {BURST} and {RATE:g} a second leaves at best",
        ratio=seconds / ideal,
        details=f"{seconds:.1f} s beside {ideal:.1f} s; {answered} answered, {refused} refused; "
        f"budget {BUDGET:.2f}x and 0 refused",
        good=seconds / ideal <= BUDGET and refused == 0 and answered == total,
    )


def _expect(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == word:
            return
    raise RuntimeError(f"a caller ended before it was {word}")


def call(kind: str, times: int) -> None:
    """What a process of a case does."""
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

    hook = Bitrix24Hook("benchmark")

    async def coroutines() -> None:
        async with hook:
            await hook.aget_conn()
            _wait_for_go()
            await asyncio.gather(*(hook.acall("profile") for _ in range(times)))

    if kind == "coroutines":
        asyncio.run(coroutines())
    else:
        with hook, ThreadPoolExecutor(times) as pool:
            hook.get_conn()
            _wait_for_go()
            for future in [pool.submit(hook.call, "profile") for _ in range(times)]:
                future.result()
    print("done", flush=True)


def _wait_for_go() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def main() -> list[Result]:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(CASES)) as pool:
        running = [pool.submit(measure, name, processes, f"{folder}/ledger") for name, processes in CASES.items()]
        return [future.result() for future in running]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        call(sys.argv[1], int(sys.argv[2]))
    else:
        for result in main():
            print(result)
