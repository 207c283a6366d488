""" "Is typing…" inside a task of your own, around the part that takes long.

Needs the connection ``bitrix24_default`` with the scopes ``im``, ``crm`` and ``task``.
"""

from __future__ import annotations

from airflow.sdk import dag, task

# A group chat; see its address in the portal: …/online/?IM_DIALOG=chat2935.
CHAT = "chat2935"


@dag(schedule=None, tags=["bitrix24", "example"], doc_md=__doc__)
def typing_in_task():
    # [START howto_hook_typing]
    @task
    def in_work() -> int:
        from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

        with Bitrix24Hook() as hook:
            with hook.typing(CHAT):
                deals = hook.iterate(
                    "crm.item.list",
                    {"entityTypeId": 2, "select": ["opportunity"], "filter": {"@stageId": ["NEW", "EXECUTING"]}},
                )
                amount = sum(float(deal["opportunity"] or 0) for deal in deals)
            return hook.send_message(CHAT, f"Deals in work: [B]{amount:,.0f}[/B]")

    # [END howto_hook_typing]

    # [START howto_hook_typing_async]
    @task
    async def overdue(after) -> int:
        import asyncio

        from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

        async with Bitrix24Hook() as hook:

            async def tasks_that(**condition) -> int:
                listed = hook.aiterate("tasks.task.list", {"select": ["ID"], "filter": condition})
                return len([one async for one in listed])

            async with hook.typing(CHAT):
                done, left = await asyncio.gather(tasks_that(REAL_STATUS=5), tasks_that(**{"!REAL_STATUS": 5}))
            return await hook.asend_message(
                CHAT, f"Tasks: [B]{done}[/B] done, [B]{left}[/B] left to do", reply_id=after
            )

    # [END howto_hook_typing_async]
    overdue(in_work())


typing_in_task()
