"""Naming a dialog: by its id, or by what it belongs to."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.chat.directory import is_number, is_person
from airflow_provider_b24.rest.errors import ConfigurationError, NotFoundError

if TYPE_CHECKING:
    from airflow_provider_b24.rest.peer import Patience, Peer
    from airflow_provider_b24.rest.protocol import Priority, Reply
    from airflow_provider_b24.rest.steps import Step

_ID = re.compile(r"^(chat|sg)?[1-9][0-9]{0,18}$")
_REFERENCE = re.compile(r"^(?P<kind>[a-z]+):(?P<key>\S+)$")

# What im.chat.get calls the things that have a chat, in the order in which it is asked; tasks have another
# kind of chat in the portal's newer task card.
_ENTITIES: dict[str, tuple[tuple[str, str], ...]] = {
    "deal": (("CRM", "DEAL|{}"),),
    "lead": (("CRM", "LEAD|{}"),),
    "contact": (("CRM", "CONTACT|{}"),),
    "company": (("CRM", "COMPANY|{}"),),
    "task": (("TASKS_TASK", "{}"), ("TASKS", "{}")),
    "group": (("SONET_GROUP", "{}"),),
}

FORMATS = (
    "Use 'chat2935' (a group chat), 'sg17' (the chat of a workgroup) or '13' (a person, by user id); "
    "or name it by what it belongs to: 'deal:1663', 'lead:…', 'contact:…', 'company:…', 'task:8293', 'group:133', "
    "or the person: 'user:anna@example.com', 'user:Anna Petrova', 'head:Sales', 'responsible:deal:1663'."
)


def check_dialog_id(value: object, argument: str = "dialog_id") -> str:
    """The dialog id or reference, as text.

    :param value: a text, or a user id as a number.
    :param argument: how the caller calls it, for the message.
    :raises ConfigurationError: if it is neither; names the formats.
    """
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if _ID.match(text) or is_person(text):
        return text
    reference = _REFERENCE.match(text)
    if reference:
        kind, key = reference["kind"], reference["key"]
        if kind in _ENTITIES and is_number(key):
            return text
    raise ConfigurationError(f"{argument} is {value!r}, which names no dialog", advice=FORMATS)


def is_reference(dialog_id: str) -> bool:
    """Whether the portal has to be asked which dialog this is."""
    return ":" in dialog_id


def for_bot(dialog_id: str) -> str:
    """How the same dialog is named for a bot, whose methods know ``chat2935`` and ``13`` only: no ``sg17``."""
    return f"group:{dialog_id[2:]}" if dialog_id.startswith("sg") else dialog_id


def resolve(
    peer: Peer, dialog_id: str, *, patience: Patience | None = None, priority: Priority | None = None
) -> Generator[Step, Any, str]:
    """The dialog id that a reference stands for, found with ``im.chat.get`` or as :mod:`~.directory` says.

    It is known for ten minutes then.

    :param dialog_id: as :func:`check_dialog_id` returns it; an id is returned as it is, without a call.
    :param patience: how long to go on trying, instead of the peer's own.
    :param priority: of the calls that find it. Default: that of work.
    :raises NotFoundError: if there is no such chat or person; says what was looked for.
    :raises Bitrix24Error: if the portal could not be asked.
    """
    if not is_reference(dialog_id):
        return dialog_id
    from airflow_provider_b24.chat.known import known

    found: str | None = known(peer).get(dialog_id)
    if found is None:
        found = yield from _ask_for(peer, dialog_id, patience, priority)
        known(peer).put(dialog_id, found)
    return found


def _ask_for(
    peer: Peer, dialog_id: str, patience: Patience | None, priority: Priority | None
) -> Generator[Step, Any, str]:
    from airflow_provider_b24.chat.directory import find_person
    from airflow_provider_b24.rest.conversation import converse
    from airflow_provider_b24.rest.protocol import Call, Priority

    def ask(method: str, params: dict[str, Any]) -> Generator[Step, Any, Reply]:
        return converse(peer, Call(method, params, priority=priority or Priority.WORK), patience=patience)

    if is_person(dialog_id):
        person = yield from find_person(peer, dialog_id, patience=patience, priority=priority)
        return person.id
    kind, key = dialog_id.split(":", 1)
    for entity_type, pattern in _ENTITIES[kind]:
        reply = yield from ask("im.chat.get", {"ENTITY_TYPE": entity_type, "ENTITY_ID": pattern.format(key)})
        found = reply.result.get("ID") if isinstance(reply.result, Mapping) else None
        if found:
            return f"chat{found}"
    raise NotFoundError(
        f"{kind} {key} has no chat that this account can see",
        method="im.chat.get",
        advice=f"Check the number; a chat exists once somebody opened it in the card of the {kind}. "
        "The account behind the connection has to be a member.",
    )
