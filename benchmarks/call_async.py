"""2,000 calls one after the other: ``hook.acall`` beside a bare ``httpx.AsyncClient`` that sends the same bytes."""

from __future__ import annotations

import asyncio
import json
import os
import time

import httpx

from benchmarks.alternate import ROUNDS, compare
from benchmarks.call_sync import CALLS, HEADERS, METHOD, PARAMS
from benchmarks.result import Result
from benchmarks.servers import NAMES, connection, serving


async def bare(url: str) -> float:
    """Seconds with httpx alone."""
    body = json.dumps(PARAMS).encode()
    async with httpx.AsyncClient() as client:
        await client.post(url + METHOD, content=body, headers=HEADERS)
        begin = time.perf_counter()
        for _ in range(CALLS):
            answer = await client.post(url + METHOD, content=body, headers=HEADERS)
            assert answer.json()["result"]["item"]["id"] == 7
        return time.perf_counter() - begin


async def hook(url: str) -> float:
    """Seconds with the hook."""
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

    os.environ["AIRFLOW_CONN_BENCHMARK"] = connection(url)
    async with Bitrix24Hook("benchmark") as ours:
        await ours.acall(METHOD, PARAMS)
        begin = time.perf_counter()
        for _ in range(CALLS):
            assert (await ours.acall(METHOD, PARAMS))["item"]["id"] == 7
        return time.perf_counter() - begin


def main() -> list[Result]:
    """Measure."""
    results = []
    for name in NAMES:
        with serving(name) as url:
            pairs = [(asyncio.run(bare(url)), asyncio.run(hook(url))) for _ in range(ROUNDS)]
        results.append(compare(f"hook.acall beside httpx, against {name}", pairs, CALLS))
    return results


if __name__ == "__main__":
    for result in main():
        print(result)
