"""Notifying people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_b24.chat.notification import check_notification, check_user
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.links.portal import PersonLink, show_person
from airflow_provider_b24.operators.arguments import are_known, check_switches, check_unless_template, is_known
from airflow_provider_b24.operators.deferral import DefersAtLimit

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_b24.chat.message import Blocks


class NotifyOperator(DefersAtLimit):
    """Notify a person with ``im.notify``: in the portal's notification centre, without a chat.

    There is one notification for each task instance: it has a tag, by which one that is sent again, after a lost answer
    or by a retry, replaces the one before. A cleared task notifies anew.

    :param user_id: whom: ``13`` or ``user:anna@example.com``. Templated.
    :param message: the text, with BBCode; at most 20,000 characters. Templated.
    :param type: ``USER``: from the account behind the connection, the default; ``SYSTEM``: from nobody.
    :param message_out: the text for e-mail and the like. Templated.
    :param tag: replaces the notification that had the same tag before, whichever task or person it was for. Default:
        one of the task instance's own. Templated.
    :param sub_tag: a second tag, which replaces nothing. Templated.
    :param attach: blocks to attach, as Python objects. Templated.
    :param markdown: the text is Markdown; ``message_out`` goes as it is. Default False: it is BBCode.
    :param mentions: people whom the text names are mentioned: ``@anna@example.com``, ``@head:Sales`` … Default False.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :return: the id of the notification, as XCom.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = (
        "user_id",
        "message",
        "message_out",
        "tag",
        "sub_tag",
        "attach",
        "bitrix24_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"attach": "json"}
    operator_extra_links = (PersonLink(),)
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        user_id: int | str,
        message: str,
        type: str = "USER",
        message_out: str | None = None,
        tag: str | None = None,
        sub_tag: str | None = None,
        attach: Blocks | None = None,
        markdown: bool = False,
        mentions: bool = False,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.user_id = user_id
        self.message = message
        self.type = type
        self.message_out = message_out
        self.tag = tag
        self.sub_tag = sub_tag
        self.attach = attach
        self.markdown = markdown
        self.mentions = mentions
        self.bitrix24_conn_id = bitrix24_conn_id
        check_switches(markdown=markdown, mentions=mentions)
        check_unless_template(check_user, user_id)
        # The same words as when the task runs.
        check_notification(
            message if is_known(message) else "x",
            type=type,
            attach=attach if are_known(attach) else None,
            markdown=markdown,
            mentions=mentions,
        )

    def execute(self, context: Context) -> int:
        """Send it."""
        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            notification = hook.notify(
                self.user_id,
                self.message,
                type=self.type,
                message_out=self.message_out,
                tag=self.tag or _own_tag(context, self.user_id),
                sub_tag=self.sub_tag,
                attach=self.attach,
                markdown=self.markdown,
                mentions=self.mentions,
            )
            show_person(self, hook, self.user_id)
        self.log.info("Sent notification %s to %s", notification, self.user_id)
        return notification


def _own_tag(context: Context, user_id: int | str) -> str | None:
    """The same for all tries of a task instance until it is cleared; None outside a task."""
    ti: Any = context.get("ti")
    if ti is None:
        return None
    # A clear raises max_tries, a retry leaves it as it is. A tag that two persons have would be taken from one of them.
    parts = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.max_tries, str(user_id))
    return f"airflow-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"
