"""What may be attached to a message: ATTACH, KEYBOARD, MENU."""

from __future__ import annotations

import json
import re
from typing import Any

from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.wire import is_empty, items_of

ATTACH_LIMIT = 60_000
_LINK = re.compile(r"(https?://|/)\S*")
_ACTIONS = frozenset({"PUT", "SEND", "COPY", "CALL", "DIALOG"})
_REQUIRED = {
    "MESSAGE": (),
    "LINK": ("LINK",),
    "RICH_LINK": ("LINK",),
    "USER": ("NAME",),
    "GRID": ("DISPLAY",),
    "IMAGE": ("LINK",),
    "FILE": ("LINK",),
    "DELIMITER": (),
}


def _parsed(value: Any, code: str, description: str) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise PortalError(code, description) from None
    if not isinstance(value, (dict, list)):
        raise PortalError(code, description)
    return value


def _listed(value: Any) -> list[Any]:
    """One thing, or a list of them."""
    if isinstance(value, dict) and not all(key.isdigit() for key in value):
        return [value]
    return [item for _, item in items_of(value)]


def check_attach(value: Any) -> Any:
    """The attachment as an object, or ``None`` where none was given.

    :raises PortalError: ``ATTACH_ERROR``, ``ATTACH_OVERSIZE``.
    """
    if is_empty(value) or value == "N":
        return None
    error = PortalError("ATTACH_ERROR", "Incorrect attach params")
    attach = _parsed(value, "ATTACH_ERROR", error.description)
    blocks = attach.get("BLOCKS") if isinstance(attach, dict) and "BLOCKS" in attach else attach
    if isinstance(blocks, dict) and not all(key.isdigit() for key in blocks):
        raise error
    if not isinstance(blocks, (dict, list)):
        raise error
    for _, block in items_of(blocks):
        if not isinstance(block, dict) or not _valid_block(block):
            raise error
    if len(json.dumps(attach, ensure_ascii=False)) > ATTACH_LIMIT:
        raise PortalError("ATTACH_OVERSIZE", "You have exceeded the maximum allowable size of attach")
    return attach


def _valid_block(block: dict[str, Any]) -> bool:
    kinds = [kind for kind in block if kind in _REQUIRED]
    if len(kinds) != 1:
        return False
    kind, content = kinds[0], block[kinds[0]]
    if kind == "MESSAGE":
        return isinstance(content, str) and content != ""
    if kind == "DELIMITER":
        return True
    if not isinstance(content, (dict, list)):
        return False
    return all(isinstance(item, dict) and _valid_item(kind, item) for item in _listed(content))


def _valid_item(kind: str, item: dict[str, Any]) -> bool:
    if any(is_empty(item.get(name)) for name in _REQUIRED[kind]):
        return False
    link = item.get("LINK")
    return is_empty(link) or bool(_LINK.match(str(link)))


def check_keyboard(value: Any) -> Any:
    """The keyboard as ``{"BUTTONS": […]}``, or ``None`` where none was given.

    :raises PortalError: ``KEYBOARD_ERROR``.
    """
    return _buttons(value, "BUTTONS", "KEYBOARD_ERROR", "Incorrect keyboard params")


def check_menu(value: Any, code: str = "MENU_ERROR") -> Any:
    """The menu as ``{"ITEMS": […]}``, or ``None`` where none was given.

    :raises PortalError: ``MENU_ERROR``, or the code given.
    """
    return _buttons(value, "ITEMS", code, "Incorrect menu params")


def _buttons(value: Any, key: str, code: str, description: str) -> Any:
    if is_empty(value) or value == "N":
        return None
    parsed = _parsed(value, code, description)
    whole = parsed if isinstance(parsed, dict) and key in parsed else {key: parsed}
    buttons = whole[key]
    if not isinstance(buttons, (list, dict)) or not items_of(buttons):
        raise PortalError(code, description)
    for _, button in items_of(buttons):
        if not isinstance(button, dict) or not _valid_button(button):
            raise PortalError(code, description)
    return whole


def _valid_button(button: dict[str, Any]) -> bool:
    if not is_empty(button.get("TYPE")):
        return str(button["TYPE"]) == "NEWLINE"
    if is_empty(button.get("TEXT")):
        return False
    if not is_empty(button.get("LINK")):
        return bool(_LINK.match(str(button["LINK"])))
    if not is_empty(button.get("ACTION")):
        return str(button["ACTION"]) in _ACTIONS and not is_empty(button.get("ACTION_VALUE"))
    return not is_empty(button.get("COMMAND")) or not is_empty(button.get("APP_ID"))
