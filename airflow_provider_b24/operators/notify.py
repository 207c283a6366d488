"""Notifying people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_b24.chat.notification import check_user, notification_params
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.links.portal import PersonLink, show_person
from airflow_provider_b24.operators.arguments import check_unless_template, is_known
from airflow_provider_b24.operators.deferral import DefersAtLimit

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_b24.chat.message import Blocks


class NotifyOperator(DefersAtLimit):
    """Notify a person with ``im.notify``: in the portal's notification centre, without a chat.

    With a ``tag`` the notification replaces the person's earlier one with the same tag, and the task may be repeated:
    there is one notification at any time. Without, a task whose answer is lost fails at once, without retries, for
    nobody can tell whether it was sent; and a task that is killed and tried again notifies again.

    :param user_id: whom: ``13`` or ``user:anna@example.com``. Templated.
    :param message: the text, with BBCode. Templated.
    :param type: ``USER``: from the account behind the connection, the default; ``SYSTEM``: from nobody.
    :param message_out: the text for e-mail and the like. Templated.
    :param tag: see above. Templated.
    :param sub_tag: a second tag, which replaces nothing. Templated.
    :param attach: blocks to attach, as Python objects. Templated.
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
        self.bitrix24_conn_id = bitrix24_conn_id
        check_unless_template(check_user, user_id)
        # The same words as when the task runs.
        notification_params(
            1, message if is_known(message) else "x", type=type, attach=attach if is_known(attach) else None
        )

    def execute(self, context: Context) -> int:
        """Send it."""
        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            notification = hook.notify(
                self.user_id,
                self.message,
                type=self.type,
                message_out=self.message_out,
                tag=self.tag,
                sub_tag=self.sub_tag,
                attach=self.attach,
            )
            show_person(self, hook, self.user_id)
        self.log.info("Sent notification %s to %s", notification, self.user_id)
        return notification
