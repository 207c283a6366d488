"""Who reads and writes in the benchmarks: each in a process of its own, which is told in JSON what to do.

usage: python -m benchmarks.clients JOB

A job says who (``client``), what (``task``), where (``url``), how many requests may be under way at once (``width``,
null for the client's own choice), and more that the task is about. What is loaded and made before the work is not
measured: the same is done first with a few rows of another portal (``warm``). The clients of others are set as they
come, but for what the job says; b24pysdk only speaks https, which is undone for it here.

Ours is ``rest.client.Client`` (``rest.aio.AsyncClient`` as "asynchronous"), which carries out what the hook hands on:
the hook itself would import Airflow.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
import warnings
from array import array
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

Job = dict[str, Any]
Take = Callable[[list[Any]], None]

LIST = "crm.deal.list"
PARAMS = {"select": ["ID", "TITLE", "STAGE_ID", "OPPORTUNITY", "DATE_MODIFY"]}
# The same rows by the method that the vendor recommends; fast_bitrix24 sorts by a field that it has not.
ITEM_PARAMS = {"entityTypeId": 2, "select": ["id", "title", "stageId", "opportunity", "updatedTime"]}


# ---- ours


def _peer(job: Job) -> Any:
    from airflow_provider_b24.rest.credentials import Webhook
    from airflow_provider_b24.rest.ledger import host_ledger
    from airflow_provider_b24.rest.pacing import PLANS
    from airflow_provider_b24.rest.peer import Peer

    plan = PLANS["standard"] if job.get("limited") else None
    return Peer(Webhook.of_url(job["url"]), plan=plan, ledger=host_ledger() if plan else None)


def _reading(job: Job) -> Any:
    from airflow_provider_b24.rest.reading import reading

    method, params = ("crm.item.list", ITEM_PARAMS) if job.get("items") else (LIST, PARAMS)
    return reading(method, params, parallel=job["width"] or 4)


def ours_reads(job: Job, take: Take) -> None:
    """``Client.stream(reading(…))``, in threads."""
    from airflow_provider_b24.rest.client import Client

    with Client(_peer(job)) as client:
        for page in client.stream(_reading(job)):
            take(page.rows)


def asynchronous_reads(job: Job, take: Take) -> None:
    """``AsyncClient.stream(reading(…))``, in tasks."""
    from airflow_provider_b24.rest.aio import AsyncClient

    async def read() -> None:
        async with AsyncClient(_peer(job)) as client:
            async for page in client.stream(_reading(job)):
                take(page.rows)

    asyncio.run(read())


def ours_writes(job: Job, take: Take) -> None:
    """``Client.stream(writing(…))``, in threads."""
    from airflow_provider_b24.rest.client import Client
    from airflow_provider_b24.rest.writing import writing

    work = writing("crm.item.add", parallel=job["width"] or 4)
    with Client(_peer(job)) as client:
        for outcome in client.stream(work, work.source(_rows(job))):
            take([outcome.result["item"]["title"] if outcome.ok else "unknown" if outcome.unknown else "failed"])


def asynchronous_writes(job: Job, take: Take) -> None:
    """``AsyncClient.stream(writing(…))``, in tasks."""
    from airflow_provider_b24.rest.aio import AsyncClient
    from airflow_provider_b24.rest.writing import writing

    async def write() -> None:
        work = writing("crm.item.add", parallel=job["width"] or 4)
        async with AsyncClient(_peer(job)) as client:
            async for outcome in client.stream(work, work.asource(_rows(job))):
                take([outcome.result["item"]["title"] if outcome.ok else "unknown" if outcome.unknown else "failed"])

    asyncio.run(write())


def ours_calls(job: Job, take: Take) -> None:
    """``Client.call``."""
    from airflow_provider_b24.rest.client import Client
    from airflow_provider_b24.rest.protocol import Call

    with Client(_peer(job)) as client:
        for _ in range(job["count"]):
            take([client.call(Call("crm.item.get", {"entityTypeId": 2, "id": 7})).result["item"]["title"]])


def asynchronous_calls(job: Job, take: Take) -> None:
    """``AsyncClient.call``."""
    from airflow_provider_b24.rest.aio import AsyncClient
    from airflow_provider_b24.rest.protocol import Call

    async def call() -> None:
        async with AsyncClient(_peer(job)) as client:
            for _ in range(job["count"]):
                take([(await client.call(Call("crm.item.get", {"entityTypeId": 2, "id": 7}))).result["item"]["title"]])

    asyncio.run(call())


# ---- fast_bitrix24


def _fast(job: Job) -> tuple[Any, Any]:
    from fast_bitrix24 import BitrixAsync

    client = BitrixAsync(job["url"], verbose=False)
    return client, client.slow(job["width"]) if job["width"] else nullcontext()


def fast_reads(job: Job, take: Take) -> None:
    """``get_all``; at its own width 50 requests at once, otherwise within ``slow``."""

    async def read() -> None:
        client, slowed = _fast(job)
        with slowed:
            take(await client.get_all(LIST, dict(PARAMS)))

    asyncio.run(read())


def fast_writes(job: Job, take: Take) -> None:
    """``call`` with a list."""

    async def write() -> None:
        client, slowed = _fast(job)
        with slowed:
            found = await client.call("crm.item.add", list(_rows(job)))
        take([one["item"]["title"] if isinstance(one, dict) and "item" in one else _title(one) for one in found])

    asyncio.run(write())


def fast_calls(job: Job, take: Take) -> None:
    """``call`` with one item."""

    async def call() -> None:
        client, _ = _fast(job)
        for _ in range(job["count"]):
            take([_title(await client.call("crm.item.get", {"entityTypeId": 2, "id": 7}))])

    asyncio.run(call())


def _title(result: Any) -> str:
    """What it has made of ``{"item": {…}}``."""
    while isinstance(result, dict) and "title" not in result and result:
        result = next(iter(result.values()))
    return str(result["title"]) if isinstance(result, dict) and result else "nothing"


# ---- b24pysdk


def _vendor(job: Job) -> Any:
    """Its token, which takes methods by the names that they are documented under."""
    from b24pysdk import BitrixWebhook
    from b24pysdk.api.callers.call_method import _MethodCaller

    _MethodCaller._base_url = property(lambda self: f"http://{self._domain}/rest")
    host, _, path = job["url"].removeprefix("http://").partition("/rest/")
    return BitrixWebhook(domain=host, webhook_token=path.strip("/"))


def vendor_reads(job: Job, take: Take) -> None:
    """``call_list_fast``, which hands rows out as they come."""
    for row in _vendor(job).call_list_fast(LIST, PARAMS)["result"]:
        take([row])


def vendor_writes(job: Job, take: Take) -> None:
    """``call_batches``."""
    answer = _vendor(job).call_batches([("crm.item.add", row) for row in _rows(job)])
    found = answer["result"]["result"]
    take([one["item"]["title"] for one in (found.values() if isinstance(found, dict) else found)])


def vendor_calls(job: Job, take: Take) -> None:
    """``call_method``."""
    token = _vendor(job)
    for _ in range(job["count"]):
        take([token.call_method("crm.item.get", {"entityTypeId": 2, "id": 7})["result"]["item"]["title"]])


# ---- nobody's


def bare_reads(job: Job, take: Take) -> None:
    """A loop over ``requests.Session.post``, page by page."""
    import requests

    last = 0
    with requests.Session() as session:
        while True:
            params = {**PARAMS, "filter": {">ID": last}, "order": {"ID": "ASC"}, "start": -1}
            rows = session.post(job["url"] + LIST, json=params).json()["result"]
            if not rows:
                return
            take(rows)
            last = rows[-1]["ID"]


def bare_calls(job: Job, take: Take) -> None:
    """A loop over ``requests.Session.post``."""
    import requests

    with requests.Session() as session:
        for _ in range(job["count"]):
            answer = session.post(job["url"] + "crm.item.get", json={"entityTypeId": 2, "id": 7})
            take([answer.json()["result"]["item"]["title"]])


TASKS: dict[str, dict[str, Callable[[Job, Take], None]]] = {
    "read": {
        "ours": ours_reads,
        "asynchronous": asynchronous_reads,
        "fast_bitrix24": fast_reads,
        "b24pysdk": vendor_reads,
        "a bare loop": bare_reads,
    },
    "write": {
        "ours": ours_writes,
        "asynchronous": asynchronous_writes,
        "fast_bitrix24": fast_writes,
        "b24pysdk": vendor_writes,
    },
    "call": {
        "ours": ours_calls,
        "asynchronous": asynchronous_calls,
        "fast_bitrix24": fast_calls,
        "b24pysdk": vendor_calls,
        "a bare loop": bare_calls,
    },
}


def _rows(job: Job) -> Iterator[Any]:
    for number in range(job["count"]):
        yield {"entityTypeId": 2, "fields": {"title": f"Row {number}", "opportunity": number, "stageId": "NEW"}}


def _memory(name: str) -> int:
    """A figure of this process, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def work(job: Job) -> Job:
    """Do it; what it took, and what went wrong."""
    kept = array("q")
    key = "id" if job.get("items") else "ID"
    with open(job["out"], "wb") as file:

        def take(found: list[Any]) -> None:
            # A number for each row: what is measured is the client, not what is kept of its rows.
            kept.extend([int(row[key]) for row in found] if job["task"] == "read" else map(_number, found))
            if len(kept) > 10_000:
                kept.tofile(file)
                del kept[:]

        gc.collect()
        with open("/proc/self/clear_refs", "w") as peak:
            peak.write("5")  # the peak is what there is now
        memory, cpu, begin = _memory("VmRSS"), _cpu(), time.perf_counter()
        error = ""
        try:
            TASKS[job["task"]][job["client"]](job, take)
        except Exception as caught:
            error = f"{type(caught).__name__}: {str(caught)[:200]}"
        took = {"seconds": time.perf_counter() - begin, "cpu": _cpu() - cpu}
        took["megabytes"] = (_memory("VmHWM") - memory) / 1e6
        kept.tofile(file)
    return {**took, "error": error}


def _number(title: str) -> int:
    """The number of a written row; -1 for one of unknown effect, -2 for one that failed."""
    words = title.split()
    return int(words[-1]) if words[-1].isdecimal() else {"unknown": -1}.get(title, -2)


def main() -> None:
    """Do a job, once told to."""
    warnings.simplefilter("ignore")
    job = json.loads(sys.argv[1])
    if job.get("warm"):
        work({**job, "url": job["warm"], "count": 60, "limited": False})
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(work(job)), flush=True)


if __name__ == "__main__":
    main()
