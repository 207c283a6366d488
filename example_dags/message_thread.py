"""A message that is answered, marked and changed while a run goes on, and a long report in Markdown below it.

Needs the connection ``bitrix24_default`` with the scope ``im``.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_b24.operators.message import MessageAddOperator, MessageLikeOperator, MessageUpdateOperator

# The chat of a workgroup; a group chat is "chat2935", see its address in the portal: …/online/?IM_DIALOG=chat2935.
CHAT = "sg17"


@dag(schedule=None, tags=["bitrix24", "example"], doc_md=__doc__)
def message_thread():
    # [START howto_operator_message_thread]
    first = MessageAddOperator(task_id="first", dialog_id=CHAT, message="The load of {{ run_id }} begins")

    # Longer than a message can be: it goes as a file, with its beginning as a message before it.
    protocol = MessageAddOperator(
        task_id="protocol",
        dialog_id=CHAT,
        reply_id="{{ ti.xcom_pull('first') }}",
        message="{{ ti.xcom_pull('work') }}",
        markdown=True,
    )

    done = MessageUpdateOperator(
        task_id="done",
        message_id="{{ ti.xcom_pull('first') }}",
        message="The load of {{ run_id }} is [B]done[/B]",
        attach=[{"MESSAGE": "By {{ ti.task_id }}"}],
        dialog_id=CHAT,
    )

    liked = MessageLikeOperator(task_id="liked", message_id="{{ ti.xcom_pull('first') }}", dialog_id=CHAT)
    # [END howto_operator_message_thread]

    @task
    def work() -> str:
        rows = "\n".join(f"| {number} | row {number} | loaded |" for number in range(1, 1001))
        return f"# Protocol\n\n**All** rows were loaded.\n\n| No | Row | State |\n|---:|---|---|\n{rows}\n"

    first >> work() >> protocol >> done >> liked


message_thread()
