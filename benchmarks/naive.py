"""What a DAG's author writes who knows Airflow's triggers and the vendor's method, and not this package's."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.errors import Bitrix24Error


class NaiveTrigger(BaseTrigger):
    """One request for each signal, every 12 s."""

    def __init__(self, *, bitrix24_conn_id: str, dialog_id: str, until: str) -> None:
        super().__init__()
        self.arguments = {"bitrix24_conn_id": bitrix24_conn_id, "dialog_id": dialog_id, "until": until}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "benchmarks.naive.NaiveTrigger", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        end = dt.datetime.fromisoformat(self.arguments["until"])
        async with Bitrix24Hook(self.arguments["bitrix24_conn_id"]) as hook:
            while dt.datetime.now(dt.timezone.utc) < end:
                with suppress(Bitrix24Error):
                    await hook.acall("im.dialog.writing", {"DIALOG_ID": self.arguments["dialog_id"]})
                await asyncio.sleep(12)
        yield TriggerEvent("over")
