"""2,000 calls one after the other: ``hook.call`` beside a bare ``requests.Session`` that sends the same bytes."""

from __future__ import annotations

import json
import os
import time

import requests

from benchmarks.alternate import ROUNDS, compare
from benchmarks.result import Result
from benchmarks.servers import NAMES, connection, serving

CALLS = 2_000
METHOD, PARAMS = "crm.item.get", {"entityTypeId": 2, "id": 7}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


def bare(url: str) -> float:
    """Seconds with requests alone."""
    body = json.dumps(PARAMS).encode()
    with requests.Session() as session:
        session.post(url + METHOD, data=body, headers=HEADERS).json()
        begin = time.perf_counter()
        for _ in range(CALLS):
            assert session.post(url + METHOD, data=body, headers=HEADERS).json()["result"]["item"]["id"] == 7
        return time.perf_counter() - begin


def hook(url: str) -> float:
    """Seconds with the hook."""
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

    os.environ["AIRFLOW_CONN_BENCHMARK"] = connection(url)
    with Bitrix24Hook("benchmark") as ours:
        ours.call(METHOD, PARAMS)
        begin = time.perf_counter()
        for _ in range(CALLS):
            assert ours.call(METHOD, PARAMS)["item"]["id"] == 7
        return time.perf_counter() - begin


def main() -> list[Result]:
    """Measure."""
    results = []
    for name in NAMES:
        with serving(name) as url:
            pairs = [(bare(url), hook(url)) for _ in range(ROUNDS)]
        results.append(compare(f"hook.call beside requests, against {name}", pairs, CALLS))
    return results


if __name__ == "__main__":
    for result in main():
        print(result)
