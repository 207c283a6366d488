"""Alerts: of failed tasks, of the run, and when all is well again.

Needs the connection ``bitrix24_default`` with the scopes ``im`` and ``user``. Make a task fail, and look into the chat.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_b24.notifications.bitrix24 import Bitrix24Notifier

# A group chat; see its address in the portal: …/online/?IM_DIALOG=chat2935.
CHAT = "chat2935"

# [START howto_notifier]
# The same failure is one message with a counter; as on_success_callback the notifier says when it is over.
tell = Bitrix24Notifier(CHAT, quiet=("22:00", "07:00"), timezone="Europe/Berlin")
# [END howto_notifier]

# [START howto_notifier_person]
# One person, without a chat; what is critical is told at night, too.
wake = Bitrix24Notifier(
    channel="notify",
    user_id="user:anna@example.com",
    severity="critical",
    quiet=("22:00", "07:00"),
    timezone="Europe/Berlin",
    title="[B]{{ dag.dag_id }} does not pay[/B]",
)
# [END howto_notifier_person]


@dag(
    schedule=None,
    tags=["bitrix24", "example"],
    doc_md=__doc__,
    # A task that is killed calls nobody back, so the run does it as well.
    on_failure_callback=tell,
    on_success_callback=tell,
    default_args={"on_failure_callback": tell, "on_success_callback": tell},
)
def alerts():
    @task
    def load() -> int:
        return 12

    @task(on_failure_callback=[tell, wake])
    def pay(bills) -> str:
        return f"{bills} bills"

    pay(load())


alerts()
