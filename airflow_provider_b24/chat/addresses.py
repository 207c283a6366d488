"""Where things are seen in the portal's web interface. Pure: no call is made for an address, none has a secret.

The paths are the same in the cloud and on-premise. Those of people, workgroups and CRM cards are in the vendor's
documentation (``BX24.openPath``), and so is that of a chat, as ``/online/?IM_DIALOG=`` (links with a bot's context).
``IM_MESSAGE`` and ``sg17`` as a dialog are known from the portal's published sources: its mobile application takes the
address of a message only in this very form, with nothing after it. A task stands in somebody's list; that it opens in
the list of nobody, the user 0, is a wide-spread habit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

# entityTypeId -> the part of the path; all other types are items of /crm/type/ID/.
_CARDS = {1: "lead", 2: "deal", 3: "contact", 4: "company"}
_TYPES = {name: number for number, name in _CARDS.items()} | {"quote": 7}
# What crm.deal.* and the like do to the card that "id" names; others have ids of their own.
_TO_THE_CARD = frozenset(["get", "add", "update", "productrows", "contact", "company"])


def chat_url(portal: str, dialog_id: str) -> str:
    """The dialog in the web messenger.

    :param portal: the portal's address, such as ``https://example.bitrix24.com``.
    :param dialog_id: ``chat2935``, ``sg17`` or ``13``.
    """
    return f"{portal}/online/?IM_DIALOG={quote(dialog_id, safe='')}"


def message_url(portal: str, dialog_id: str, message_id: int) -> str:
    """The dialog, opened at a message."""
    return f"{chat_url(portal, dialog_id)}&IM_MESSAGE={message_id}"


def task_url(portal: str, task_id: int) -> str:
    """A task's card."""
    return f"{portal}/company/personal/user/0/tasks/task/view/{task_id}/"


def crm_url(portal: str, entity_type: int | str, item_id: int) -> str:
    """The card of a lead, a deal, a contact, a company, or an item of any other type.

    :param entity_type: its name, or ``entityTypeId``.
    """
    number = _TYPES.get(entity_type, 0) if isinstance(entity_type, str) else entity_type
    section = _CARDS.get(number, f"type/{number}")
    return f"{portal}/crm/{section}/details/{item_id}/"


def crm_list_url(portal: str, entity_type: int | str) -> str:
    """The list of all leads, deals, contacts, companies, or items of any other type.

    :param entity_type: its name, or ``entityTypeId``.
    """
    number = _TYPES.get(entity_type, 0) if isinstance(entity_type, str) else entity_type
    section = f"{_CARDS[number]}/list" if number in _CARDS else f"type/{number}"
    return f"{portal}/crm/{section}/"


def person_url(portal: str, user_id: int) -> str:
    """A person's profile."""
    return f"{portal}/company/personal/user/{user_id}/"


def of_dialog(
    portal: str,
    dialog_id: str | None,
    *,
    reference: str = "",
    message_id: int | None = None,
    bot_id: int | None = None,
) -> dict[str, str]:
    """The addresses of what was done in a dialog, by kind: of the message or the chat, and of what the chat is about.

    :param dialog_id: as an id; None if it is not known.
    :param reference: how it was named, such as ``deal:1663``.
    :param message_id: the message in it.
    :param bot_id: the bot that has written there.
    """
    found: dict[str, str] = {}
    if dialog_id is not None:
        # A private talk is called after the other one: whoever opens it is the person, not the bot.
        seen = str(bot_id) if bot_id is not None and dialog_id.isdecimal() else dialog_id
        if message_id is None:
            found["chat"] = chat_url(portal, seen)
        else:
            found["message"] = message_url(portal, seen, message_id)
    kind, _, key = reference.partition(":")
    number = _number(key)
    if number and kind == "task":
        found["task"] = task_url(portal, number)
    elif number and kind in _TYPES:
        found["crm"] = crm_url(portal, kind, number)
    return found


def of_call(portal: str, method: str, params: Mapping[str, Any] | Sequence[Any] | None, result: Any) -> dict[str, str]:
    """The addresses of what a REST method has touched, by kind, as far as its parameters and its result name it.

    A list names nothing, and what was deleted is nowhere.
    """
    words = method.lower().split(".")
    if words[-1] in ("delete", "list"):
        return {}
    given = _names(params)
    if words[0] == "crm" and len(words) > 2:
        return _of_crm(portal, words, given, result)
    if words[:2] == ["tasks", "task"] or words[0] == "task":
        number = _number(given.get("taskid") or given.get("id") or _inner(result, "task", "item").get("id"))
        return {"task": task_url(portal, number)} if number else {}
    if words[0] in ("im", "imbot") and len(words) > 1:
        return _of_chat(portal, words, given, result)
    return {}


def of_list(portal: str, method: str, params: Mapping[str, Any] | None) -> dict[str, str]:
    """The address of the list of the CRM that a method reads or writes, by kind; none for anything else."""
    words = method.lower().split(".")
    if words[0] != "crm" or len(words) < 3:
        return {}
    entity_type: Any = words[1]
    if entity_type == "item":
        entity_type = _number(_names(params).get("entitytypeid"))
    elif entity_type not in _TYPES or len(words) > 3:
        return {}
    return {"crm_list": crm_list_url(portal, entity_type)} if entity_type else {}


def _of_crm(portal: str, words: list[str], given: Mapping[str, Any], result: Any) -> dict[str, str]:
    entity_type: Any = None
    item_id: Any = None
    if words[1] == "item" and len(words) == 3:
        entity_type, item_id = given.get("entitytypeid"), given.get("id") or _inner(result, "item").get("id")
    elif words[1] in _TYPES and words[2] in _TO_THE_CARD:
        entity_type, item_id = words[1], given.get("id") or (result if words[2] == "add" else None)
    else:
        # Activities, comments and other parts of a card's timeline.
        for one, other in (("entitytypeid", "entityid"), ("ownertypeid", "ownerid"), ("entity_type", "entity_id")):
            if one in given and other in given:
                entity_type, item_id = given[one], given[other]
    if isinstance(entity_type, str):
        entity_type = _TYPES.get(entity_type.lower()) or _number(entity_type)
    number = _number(item_id)
    return {"crm": crm_url(portal, entity_type, number)} if entity_type and number else {}


def _of_chat(portal: str, words: list[str], given: Mapping[str, Any], result: Any) -> dict[str, str]:
    if words[1] == "notify":
        user = _number(given.get("user_id"))
        return {"person": person_url(portal, user)} if user else {}
    answer = _names(result)
    dialog = str(given.get("dialog_id") or given.get("dialogid") or answer.get("dialogid") or "")
    chat = _number(result if words == ["im", "chat", "add"] else given.get("chat_id"))
    if not dialog and chat:
        dialog = f"chat{chat}"
    if not _number(dialog.removeprefix("chat").removeprefix("sg")):
        return {}
    message: Any = given.get("message_id") or given.get("messageid") or answer.get("messageid")
    if words == ["im", "message", "add"]:
        message = result
    elif words == ["imbot", "v2", "chat", "message", "send"]:
        message = answer.get("id")
    bot_id = _number(given.get("botid")) if words[0] == "imbot" else None
    return of_dialog(portal, dialog, message_id=_number(message), bot_id=bot_id)


def _names(values: Any) -> dict[str, Any]:
    """Names in lower case, those inside ``fields`` too; a portal takes most names in either case."""
    if not isinstance(values, Mapping):
        # The methods of tasks that take their parameters by position begin with the task.
        return {"taskid": values[0]} if isinstance(values, (list, tuple)) and values else {}
    named = {str(name).lower(): value for name, value in values.items()}
    fields = named.get("fields")
    return (_names(fields) if isinstance(fields, Mapping) else {}) | named


def _inner(result: Any, *wrappers: str) -> Mapping[str, Any]:
    for wrapper in wrappers:
        inner = result.get(wrapper) if isinstance(result, Mapping) else None
        if isinstance(inner, Mapping):
            return inner
    return {}


def _number(value: Any) -> int | None:
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 and int(text) > 0 else None
