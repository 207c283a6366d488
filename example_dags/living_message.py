"""One message for each run, which is edited as the run moves: what is at work, how far it is, what has failed.

The message is posted when the first task starts. In the end it says how the run ended and how long it took, with links
to the run and to the log of what failed; details are answers to it.

Needs the connection ``bitrix24_default`` with the scopes ``im`` and ``crm``.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_b24.notifications.run_message import RunMessage

# A group chat; see its address in the portal: …/online/?IM_DIALOG=chat2935.
CHAT = "chat2935"

STAGES = ("NEW", "PREPARATION", "PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE", "WON", "LOSE")

# [START howto_notifier_run_message]
message = RunMessage(CHAT)


@dag(
    schedule=None,
    tags=["bitrix24", "example"],
    doc_md=__doc__,
    # Its tasks tell it how they begin and end, and the DAG how the run has ended.
    default_args=message.task_callbacks,
    **message.dag_callbacks,
)
# [END howto_notifier_run_message]
def living_message():
    # [START howto_notifier_run_message_update]
    @task
    def add_up() -> dict:
        from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

        amounts = {}
        with Bitrix24Hook() as hook:
            for number, stage in enumerate(STAGES):
                # As often as you like: what comes faster than the message may be edited is shown together.
                message.update(progress=number / len(STAGES), text=f"Adding up [b]{stage}[/b]")
                deals = hook.iterate(
                    "crm.item.list",
                    {"entityTypeId": 2, "select": ["opportunity"], "filter": {"stageId": stage}},
                )
                amounts[stage] = sum(float(deal["opportunity"] or 0) for deal in deals)
        return amounts

    # [END howto_notifier_run_message_update]

    # [START howto_notifier_run_message_reply]
    @task
    def report(amounts) -> None:
        lines = [f"{stage}: {amount:,.0f}" for stage, amount in amounts.items()]
        message.reply("\n".join(["[b]Deals by stage[/b]", *lines]), once="details")
        # Below 0: the share of the tasks that have finished is shown again.
        message.update(progress=-1, text=f"Deals in all: [b]{sum(amounts.values()):,.0f}[/b]")

    # [END howto_notifier_run_message_reply]

    report(add_up())


living_message()
