""" "Is typing…" beside the tasks that do the work, whatever operators they are.

``typing`` waits in the triggerer, holds no worker slot, and ends when the tasks it watches have ended, however
they ended. It has no arrow to or from them: it goes on at the same time.

Needs the connection ``bitrix24_default`` with the scopes ``im`` and ``crm``.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_b24.operators.dialog import DialogWritingOperator
from airflow_provider_b24.operators.message import MessageAddOperator

# A group chat; see its address in the portal: …/online/?IM_DIALOG=chat2935.
CHAT = "chat2935"


@dag(schedule=None, tags=["bitrix24", "example"], doc_md=__doc__)
def typing_beside_tasks():
    @task
    def managers() -> list[dict]:
        from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

        with Bitrix24Hook() as hook:
            people = hook.iterate("user.get", {"FILTER": {"ACTIVE": True}})
            return [{"id": int(one["ID"]), "name": f"{one['NAME']} {one['LAST_NAME']}"} for one in people]

    @task(max_active_tis_per_dagrun=2)
    def deals_of(manager: dict) -> dict:
        from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

        with Bitrix24Hook() as hook:
            deals = hook.iterate(
                "crm.item.list",
                {
                    "entityTypeId": 2,
                    "select": ["opportunity"],
                    "filter": {"assignedById": manager["id"], "stageId": "WON"},
                },
            )
            amounts = [float(deal["opportunity"] or 0) for deal in deals]
        return {"name": manager["name"], "deals": len(amounts), "amount": sum(amounts)}

    @task
    def summary(figures) -> str:
        ranked = sorted((one for one in figures if one["deals"]), key=lambda one: -one["amount"])
        lines = [f"{one['name']}: {one['deals']:,} deals, {one['amount']:,.0f}" for one in ranked]
        return "\n".join(["[B]Deals won, by manager[/B]", *(lines or ["none"])])

    # [START howto_operator_dialog_writing_while_running]
    people = managers()
    figures = deals_of.expand(manager=people)
    text = summary(figures)

    DialogWritingOperator(
        task_id="typing",
        dialog_id=CHAT,
        while_running=[people, figures, text],
    )
    # [END howto_operator_dialog_writing_while_running]

    # [START howto_operator_message_add]
    post = MessageAddOperator(task_id="post", dialog_id=CHAT, message="{{ ti.xcom_pull('summary') }}")
    # [END howto_operator_message_add]
    text >> post


typing_beside_tasks()
