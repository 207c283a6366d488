"""A file of 90 MB: ``hook.send_file`` and its asynchronous twin beside what one writes with ``requests``.

Each upload has a process of its own, for memory that was used once does not come back.
"""

from __future__ import annotations

import asyncio
import base64
import os
import resource
import subprocess
import sys
import tempfile
import time
from statistics import median

import requests

from benchmarks.alternate import ROUNDS
from benchmarks.result import Result
from benchmarks.servers import connection, serving

MEGABYTES = 90
# Ours reads the dialog before it sends, and encodes in Python what the other encodes at once.
TIME, MEMORY = 1.25, 20.0
NAME = "a server that takes files"


def naive(url: str, path: str) -> None:
    """With requests alone."""
    with open(path, "rb") as file:
        fields = {"name": "report.bin", "content": base64.b64encode(file.read()).decode()}
    answer = requests.post(url + "im.v2.File.upload", json={"dialogId": "chat5", "fields": fields})
    assert answer.json()["result"]["messageId"] == 7


def ours(url: str, path: str) -> None:
    """With the hook."""
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

    with Bitrix24Hook("benchmark") as hook:
        assert hook.send_file("chat5", path) == 7


def asynchronous(url: str, path: str) -> None:
    """With the hook, asynchronously."""
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

    async def send() -> int:
        async with Bitrix24Hook("benchmark") as hook:
            return await hook.asend_file("chat5", path)

    assert asyncio.run(send()) == 7


WAYS = {"naive": naive, "ours": ours, "asynchronous": asynchronous}


def measured(way: str, url: str, folder: str) -> tuple[float, float]:
    """Seconds, and megabytes that memory grew by."""
    command = [sys.executable, "-m", "benchmarks.upload", way, url, folder]
    seconds, megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(megabytes)


def measure(way: str, url: str, folder: str) -> None:
    """One upload in this process, after a small one for which everything is loaded."""
    os.environ["AIRFLOW_CONN_BENCHMARK"] = connection(url)
    WAYS[way](url, os.path.join(folder, "small.bin"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    WAYS[way](url, os.path.join(folder, "large.bin"))
    seconds = time.perf_counter() - begin
    print(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000)


def main() -> list[Result]:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder, serving(NAME) as url:
        for name, size in (("small.bin", 10), ("large.bin", MEGABYTES * 1_000_000)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(os.urandom(10) * (size // 10))
        rounds = [{way: measured(way, url, folder) for way in WAYS} for _ in range(ROUNDS)]
    results = []
    for way in ("ours", "asynchronous"):
        name = f"{'hook.send_file' if way == 'ours' else 'hook.asend_file'} of {MEGABYTES} MB beside requests"
        (bare_time, bare_memory), (time_, memory) = (
            [median(row[one][part] for row in rounds) for part in (0, 1)] for one in ("naive", way)
        )
        ratios = ", ".join(f"{row[way][0] / row['naive'][0]:.2f}" for row in rounds)
        results += [
            Result(
                name,
                time_ / bare_time,
                f"{time_:.2f} beside {bare_time:.2f} s; budget {TIME}x; round by round {ratios}",
                time_ / bare_time <= TIME,
            ),
            Result(
                f"memory of {name}",
                memory / bare_memory,
                f"{memory:.1f} beside {bare_memory:.0f} MB; budget {MEMORY:.0f} MB",
                memory <= MEMORY,
            ),
        ]
    return results


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(*sys.argv[1:])
    else:
        for result in main():
            print(result)
