"""Buttons on a task in Airflow that lead to what it has touched in the portal.

Airflow asks for a link in the task's own process, when the task ends or is deferred, and keeps the answer. So the
operator only notes the addresses, with :func:`show`; no call is made for them, and a link that has none is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

_NOTED = "_bitrix24_addresses"


class _PortalLink(BaseOperatorLink):
    shows: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address that the operator has noted; empty if it has none of this kind."""
        return str(shown(operator).get(self.shows, ""))


class MessageLink(_PortalLink):
    """The message, in its chat."""

    name = "Message in Bitrix24"
    shows = "message"


class ChatLink(_PortalLink):
    """The chat."""

    name = "Chat in Bitrix24"
    shows = "chat"


class TaskLink(_PortalLink):
    """The task, or that whose chat it is."""

    name = "Task in Bitrix24"
    shows = "task"


class DealLink(_PortalLink):
    """The deal or any other item of the CRM, or that whose chat it is."""

    name = "CRM card in Bitrix24"
    shows = "crm"


class CrmListLink(_PortalLink):
    """The list of the CRM that was read or written."""

    name = "CRM list in Bitrix24"
    shows = "crm_list"


class PersonLink(_PortalLink):
    """The person who was written to."""

    name = "Person in Bitrix24"
    shows = "person"


def show(operator: BaseOperator, addresses: Mapping[str, str]) -> None:
    """Note what the links of a running task lead to.

    :param addresses: by kind; see :mod:`~airflow_provider_b24.chat.addresses`.
    """
    setattr(operator, _NOTED, dict(addresses))


def shown(operator: BaseOperator) -> dict[str, str]:
    """What was noted; plain values, which a task may give to itself across a deferral."""
    return dict(getattr(operator, _NOTED, {}))


def show_dialog(
    operator: BaseOperator,
    hook: Bitrix24Hook,
    dialog_id: str | int | None,
    *,
    message_id: Any = None,
    as_bot: bool | None = False,
) -> None:
    """Note the dialog in which an operator has done something, or the message there, and what the chat is about.

    :param dialog_id: as the operator has it; for a reference, the chat is shown if it has been found already. None if
        the operator does not know it: then there is no link, for the id of a message does not tell its chat.
    :param message_id: the message, if there is one.
    :param as_bot: as whom the operator speaks.
    """
    from airflow_provider_b24.chat.addresses import of_dialog

    if dialog_id in (None, ""):
        return
    assert dialog_id is not None
    bot = hook.speaker(as_bot)
    addresses = of_dialog(
        hook.portal,
        hook.known_dialog_id(dialog_id),
        reference=str(dialog_id).strip(),
        message_id=int(message_id) if message_id else None,
        bot_id=bot.bot_id if bot is not None else None,
    )
    show(operator, addresses)


def show_person(operator: BaseOperator, hook: Bitrix24Hook, user_id: int | str) -> None:
    """Note the person to whom an operator has written without a chat.

    :param user_id: as the operator has it.
    """
    from airflow_provider_b24.chat.addresses import person_url

    person = hook.known_dialog_id(user_id)
    show(operator, {} if person is None else {"person": person_url(hook.portal, int(person))})
