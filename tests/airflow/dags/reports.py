"""Reports: typing while a function works, then what it returns as a message."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

DIALOG = "{{ dag_run.conf['dialog'] }}"


def of(name):
    """Each task has a dialog of its own."""
    return f"{{{{ dag_run.conf['dialogs']['{name}'] }}}}"


with DAG("reports", schedule=None, default_args={"retries": 1, "retry_delay": timedelta(seconds=1)}):

    @task.bitrix24_report(dialog_id=of("plain"), interval=2)
    def plain(weeks):
        time.sleep(5)
        return f"Revenue of [b]{weeks}[/b] weeks"

    @task.bitrix24_report(dialog_id=of("asynchronous"), interval=2)
    async def asynchronous():
        async with Bitrix24Hook() as hook:
            await asyncio.sleep(5)
            me = await hook.acall("profile")
        return f"Report of {me['NAME']}"

    @task.bitrix24_report(dialog_id=of("mapping"), interval=2)
    def mapping():
        return {
            "message": "Deals",
            "attach": [{"MESSAGE": "[b]12[/b] won"}],
            "keyboard": [{"TEXT": "Open", "LINK": "https://example.com/deals"}],
            "url_preview": False,
            "system": False,
        }

    @task.bitrix24_report(dialog_id=of("failing"), interval=2, retries=0)
    def failing():
        time.sleep(5)
        raise RuntimeError("the warehouse is closed")

    @task.bitrix24_report(dialog_id=of("nothing"), interval=2)
    def nothing():
        return None

    @task.bitrix24_report(dialog_id="deal:{{ dag_run.conf['deal'] }}", interval=2)
    def of_a_deal():
        return "The deal is won"

    @task.bitrix24_report(dialog_id="chat2936")
    def forbidden():
        return "nobody reads this"

    @task.bitrix24_report(dialog_id=of("by_oauth"), bitrix24_conn_id="oauth", interval=2)
    def by_oauth():
        time.sleep(3)
        return "With a renewed token"

    @task.bitrix24_report(dialog_id=of("by_bot"), bitrix24_conn_id="bot", interval=2, status="CALCULATING")
    def by_bot():
        time.sleep(3)
        return "Calculated"

    @task
    def takes(message_id):
        return f"posted {message_id}"

    takes(plain(weeks=8))
    asynchronous()
    mapping()
    failing()
    nothing()
    of_a_deal()
    forbidden()
    by_oauth()
    by_bot()

with DAG("report_long", schedule=None):

    @task.bitrix24_report(dialog_id=DIALOG)
    def weekly_report():
        time.sleep(28)
        return "[b]Weekly report[/b]: 40 deals"

    weekly_report()
