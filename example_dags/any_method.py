"""Any method of the REST API: as an operator, or from the hook in a task.

Reads and changes one deal, and says so in a chat. Needs the connection ``bitrix24_default`` with the scopes
``im`` and ``crm``.
"""

from __future__ import annotations

from airflow.sdk import Param, dag, task

from airflow_provider_b24.operators.dialog import DialogReadOperator, DialogUnreadOperator
from airflow_provider_b24.operators.message import MessageAddOperator
from airflow_provider_b24.operators.rest import RestOperator

# A group chat; see its address in the portal: …/online/?IM_DIALOG=chat2935.
CHAT = "chat2935"


@dag(
    schedule=None,
    params={"title": Param("Made by Airflow", type="string", description="Title of the deal that is created")},
    tags=["bitrix24", "example"],
    doc_md=__doc__,
)
def any_method():
    # [START howto_operator_rest]
    add = RestOperator(
        task_id="add_deal",
        method="crm.item.add",
        params={"entityTypeId": 2, "fields": {"title": "{{ params.title }}", "opportunity": 125000}},
    )

    # The result of one call is a parameter of the next.
    win = RestOperator(
        task_id="win_deal",
        method="crm.item.update",
        params={
            "entityTypeId": 2,
            "id": "{{ ti.xcom_pull('add_deal')['item']['id'] }}",
            "fields": {"stageId": "WON"},
        },
    )
    # [END howto_operator_rest]

    # [START howto_hook_batch]
    @task
    def describe(deal) -> str:
        from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

        with Bitrix24Hook() as hook:
            # One request, however many calls; a later one may use what an earlier one returned.
            found = hook.batch(
                {
                    "deal": ("crm.item.get", {"entityTypeId": 2, "id": deal["item"]["id"]}),
                    "manager": ("user.get", {"ID": "$result[deal][item][assignedById]"}),
                }
            ).unwrap()
        item, manager = found["deal"]["item"], found["manager"][0]
        return f"{manager['NAME']} {manager['LAST_NAME']} won [B]{item['title']}[/B], {item['opportunity']:,.0f}"

    # [END howto_hook_batch]

    # [START howto_operator_message_add_attach]
    post = MessageAddOperator(
        task_id="post",
        dialog_id=CHAT,
        message="{{ ti.xcom_pull('describe') }}",
        attach=[{"MESSAGE": "Created and closed by a DAG."}],
        url_preview=False,
    )
    # [END howto_operator_message_add_attach]

    # [START howto_operator_dialog_read]
    read = DialogReadOperator(task_id="read", dialog_id=CHAT)
    unread = DialogUnreadOperator(task_id="unread", dialog_id=CHAT, message_id="{{ ti.xcom_pull('post') }}")
    # [END howto_operator_dialog_read]

    add >> win >> describe(win.output) >> post >> read >> unread


any_method()
