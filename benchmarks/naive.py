"""What a DAG's author writes who knows Airflow's triggers and the vendor's method, and not this package."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent


class NaiveTrigger(BaseTrigger):
    """One request for each signal, every 12 s."""

    def __init__(self, *, conn_id: str, dialog_id: str, until: str) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.dialog_id = dialog_id
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Itself, as it goes to the triggerer."""
        arguments = {"conn_id": self.conn_id, "dialog_id": self.dialog_id, "until": self.until}
        return "benchmarks.naive.NaiveTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Signal until the end."""
        end = dt.datetime.fromisoformat(self.until)
        connection = await BaseHook.aget_connection(self.conn_id)
        url = f"http://{connection.host}:{connection.port}/rest/{connection.login}/{connection.password}/"
        async with httpx.AsyncClient() as client:
            while dt.datetime.now(dt.timezone.utc) < end:
                with suppress(httpx.HTTPError):
                    await client.post(f"{url}im.dialog.writing", json={"DIALOG_ID": self.dialog_id})
                await asyncio.sleep(12)
        yield TriggerEvent("over")
