"""Everything that the package does in a portal by itself, done once, with every argument that there is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.sdk import BaseOperator, task

from airflow_provider_b24.chat.bots import Profile, every, new_token, register, unregister
from airflow_provider_b24.chat.files import File
from airflow_provider_b24.chat.typing import Bot
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.notifications.bitrix24 import Bitrix24Notifier
from airflow_provider_b24.notifications.run_message import RunMessage
from airflow_provider_b24.operators.dialog import DialogReadOperator, DialogUnreadOperator, DialogWritingOperator
from airflow_provider_b24.operators.file import FileUploadOperator
from airflow_provider_b24.operators.message import (
    MessageAddOperator,
    MessageDeleteOperator,
    MessageLikeOperator,
    MessageUpdateOperator,
)
from airflow_provider_b24.operators.notify import NotifyOperator
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.testing import FakePortal, Fault
from airflow_provider_b24.transfers.bitrix24_to_object_storage import Bitrix24ToObjectStorageOperator
from airflow_provider_b24.transfers.bitrix24_to_sql import Bitrix24ToSqlOperator
from airflow_provider_b24.transfers.object_storage_to_bitrix24 import ObjectStorageToBitrix24Operator
from airflow_provider_b24.transfers.sql_to_bitrix24 import SqlToBitrix24Operator
from airflow_provider_b24.transfers.sql_to_dialog import SqlToDialogOperator
from tests.portal.alerts.contexts import of_dag, of_deadline, of_task

CHAT = "chat2935"
BLOCKS = [{"MESSAGE": "a"}]
BUTTONS = [{"TEXT": "b", "LINK": "https://example.com/"}]
WORDS: dict[str, Any] = {"message": "**text** for @anna@example.com", "markdown": True, "mentions": True}
SAID: dict[str, Any] = {
    "message": "text",
    "attach": BLOCKS,
    "keyboard": BUTTONS,
    "url_preview": False,
    "system": True,
}


def said() -> dict[str, Any]:
    """A report."""
    return SAID


class Sqlite(DbApiHook):
    """A database's hook, as its provider would have it."""

    conn_name_attr = "sqlite3_conn_id"
    supports_autocommit = False

    def get_conn(self) -> sqlite3.Connection:
        return sqlite3.connect(":memory:")


def context() -> dict[str, Any]:
    """What a task is given."""
    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="one", map_index=-1, try_number=1, xcom_push=lambda **_: 0)
    return {"ti": ti, "run_id": "run", "params": {}}


def run(kind: Callable[..., BaseOperator], **arguments: Any) -> Any:
    """A task's work."""
    return kind(task_id="one", **arguments).execute(context())  # type: ignore[arg-type]


def operators(portal: FakePortal) -> None:
    """Each operator, as the account and as the bot."""
    for conn_id in ("bitrix24_default", "bot"):
        as_bot = conn_id == "bot"
        where: dict[str, Any] = {"dialog_id": CHAT, "bitrix24_conn_id": conn_id}
        first = portal.add_message(CHAT, 1, "first")
        account: dict[str, Any] = {} if as_bot else {"menu": BUTTONS}
        run(MessageAddOperator, **where, **SAID, **account, reply_id=first)
        # Its answer is lost, and the dialog is read to see what became of it.
        portal.faults.add(Fault("reset_after", "imbot.v2.Chat.Message.send" if as_bot else "im.message.add"))
        message_id = run(MessageAddOperator, **where, message="to be changed")
        run(MessageAddOperator, **where, message="long " * 5000, long_text="file")
        edited: dict[str, Any] = {} if as_bot else {"is_edited": False, **account}
        run(
            MessageUpdateOperator,
            **where,
            message_id=message_id,
            message="new",
            attach=BLOCKS,
            keyboard=BUTTONS,
            url_preview=True,
            **edited,
        )
        for action in ("plus", "minus"):
            run(MessageLikeOperator, **where, message_id=first, action=action)
        run(MessageDeleteOperator, **where, message_id=message_id)
        run(DialogWritingOperator, **where, **({"status": "CALCULATING"} if as_bot else {}))
        run(DialogReadOperator, **where, message_id=first)
        run(DialogUnreadOperator, **where, message_id=first)
        run(FileUploadOperator, **where, file=b"x", name="x.txt", **WORDS)
        run(SqlToDialogOperator, **where, conn_id="warehouse", sql="SELECT 1 AS x", send_as="both", **WORDS)
        table = {"conn_id": "warehouse", "table": "deals", "create_table": True, "bitrix24_conn_id": conn_id}
        run(Bitrix24ToSqlOperator, params={"entityTypeId": 2}, **table)
        written_back(conn_id)
        report: Any = task.bitrix24_report(**where)(said)
        report().operator.execute(context())
    run(
        FileUploadOperator,
        dialog_id=CHAT,
        files=[File.of_bytes("x.txt", b"x"), File.of_bytes("y.txt", b"y")],
        message="text",
    )
    run(
        NotifyOperator,
        user_id="user:boris@example.com",
        **WORDS,
        type="SYSTEM",
        message_out="mail",
        tag="a",
        sub_tag="b",
        attach=BLOCKS,
    )
    run(RestOperator, method="profile")
    with TemporaryDirectory() as lake:
        for ending in ("jsonl", "parquet"):
            path = f"{lake}/deals.{ending}"
            arguments: dict[str, Any] = {"incremental": False, "ids_path": f"{lake}/ids.csv"}
            run(Bitrix24ToObjectStorageOperator, params={"entityTypeId": 2}, path=path, **arguments)


def written_back(conn_id: str) -> None:
    """Rows of a query and of a file into the portal."""
    deals: dict[str, Any] = {"params": {"entityTypeId": 2}, "bitrix24_conn_id": conn_id}
    query = "SELECT 'x' AS title, 7 AS \"originId\""
    run(SqlToBitrix24Operator, conn_id="warehouse", sql=query, method="crm.item.add", key="originId", **deals)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scores.jsonl"
        path.write_text('{"id": 1, "opportunity": 12.5}\n')
        run(ObjectStorageToBitrix24Operator, path=str(path), rejects_path=f"{folder}/rejects.jsonl", **deals)


def addressees(portal: FakePortal) -> None:
    """All that a dialog id may be, and all who can be mentioned."""
    if 1 not in portal.company.crm.tables[2].rows:
        portal.add_deals(1)
    people = ["user:Boris Orlov", "user:boris@example.com", "head:Analytics", "responsible:deal:1"]
    with Bitrix24Hook() as hook:
        for one in ("deal:1663", "task:8293", "group:133", *people, "responsible:task:8293"):
            hook.dialog_id(one)
        hook.mention("responsible:deal:1")
        hook.send_message(CHAT, "@department:Accounting @anna@example.com", mentions=True)


def reading(_: FakePortal) -> None:
    """What a hook does besides."""
    with Bitrix24Hook() as hook:
        list(hook.iterate("crm.item.list", {"entityTypeId": 2, "select": ["id"]}))
        deals = {"entityTypeId": 2, "useOriginalUfNames": "Y"}
        list(hook.iterate("crm.item.list", deals, since="2026-01-01", until="2026-01-02", typed=True))
        list(hook.iterate("user.get", typed=True))
        list(hook.iterate("tasks.task.list", {"select": ["ID"]}, typed=True))
        hook.fields("crm.category", entity_type_id=2)
        for _time in range(2):
            list(hook.call_many("crm.item.add", [{"entityTypeId": 2, "fields": {"originId": "x"}}], key="originId"))
            list(hook.call_many("crm.deal.add", [{"fields": {"ORIGIN_ID": "y"}}], key="ORIGIN_ID"))
        hook.test_connection()


def alerts(_: FakePortal) -> None:
    """Callbacks of tasks, of a DAG and of a deadline."""
    for conn_id in ("bitrix24_default", "bot"):
        notifiers = [
            Bitrix24Notifier(CHAT, bitrix24_conn_id=conn_id, raise_errors=True),
            Bitrix24Notifier(channel="notify", user_id=2, bitrix24_conn_id=conn_id, raise_errors=True),
        ]
        told = RunMessage(CHAT, bitrix24_conn_id=conn_id, raise_errors=True)
        told(of_task(conn_id, state="running", run_id=conn_id))
        told(of_dag(run_id=conn_id, state="success", reason="success"))
        for tell in notifiers:
            for number in range(2):
                # The second one is counted in the message of the first, and then it is over.
                tell(of_task(conn_id, error=RuntimeError("x"), run_id=f"run {number}"))
            tell(of_task(conn_id, state="success", run_id="run 3"))
            tell(of_dag(run_id=f"run {conn_id}"))
            tell(of_deadline(conn_id))


def bots(_: FakePortal) -> None:
    """What the commands for a chat bot do."""
    properties = {"name": "Reports", "lastName": "Bot", "workPosition": "Reporter", "color": "green"}
    profile = Profile("contract", {**properties, "avatar": "iVBORw0KGgo="})
    token = new_token()
    with Bitrix24Hook() as hook:
        client = hook.get_conn()
        for _again in range(2):
            card = client.run(partial(register, profile=profile, token=token))
        client.run(partial(every, token=token))
        client.run(partial(unregister, bot=Bot(card.id, token)))


STEPS: tuple[Callable[[FakePortal], None], ...] = (operators, addressees, reading, alerts, bots)


def connections(portal: FakePortal) -> dict[str, str]:
    """The environment in which it is done."""
    return {
        "AIRFLOW_CONN_BITRIX24_DEFAULT": json.dumps(portal.connection()),
        "AIRFLOW_CONN_BOT": json.dumps(portal.bot_connection()),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite3"}),
    }
