"""What is known of REST methods by their names. Light: DAG files import it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_b24.rest.errors import ConfigurationError

Params = Mapping[str, Any] | Sequence[Any]

_METHOD = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*\Z")


def check_method(method: object) -> None:
    """Refuse what can not be the name of a method.

    :raises ConfigurationError: saying what one looks like.
    """
    if not isinstance(method, str) or not _METHOD.match(method):
        # With a slash it may be the URL of a webhook.
        shown = "(not shown here)" if "/" in str(method) else repr(method)
        raise ConfigurationError(
            f"method is {shown}",
            advice="A REST method looks like 'crm.item.get': no slashes, no address in front of it.",
        )
    if method.endswith((".json", ".xml")):
        raise ConfigurationError(f"method is {method!r}", advice="Leave off the suffix; replies are JSON.")


def check_version(version: object) -> None:
    """Refuse what is no version of REST.

    :raises ConfigurationError: unless it is 2 or 3.
    """
    if version not in (2, 3):
        raise ConfigurationError(f"version is {version!r}", advice="It is 2 (classic REST) or 3 (REST 3.0).")


# The last word of a method's name tells readers from writers; everything not listed counts as writing.
_READS = frozenset(
    [
        "current",
        "fields",
        "find",
        "getlist",
        "info",
        "list",
        "methods",
        "profile",
        "scope",
        "search",
        "tail",
        "time",
    ]
)
# Methods whose second call does nothing the first has not done. "read" and "unread" set a mark.
_REPEATABLE = frozenset(
    [
        "im.dialog.writing",
        "im.dialog.read",
        "im.dialog.unread",
        "imbot.v2.chat.inputaction.notify",
        # Of the same code and owner there is one bot only.
        "imbot.v2.bot.register",
        "imbot.v2.bot.update",
        "imbot.v2.chat.message.read",
        "imbot.chat.sendtyping",
        "imbot.v2.chat.message.read",
        "user.admin",
        "feature.get",
        "documentation",
        "rest.documentation.openapi",
        # Lists whose names do not say so.
        "crm.calllist.statuslist",
        "crm.status.entity.items",
        "sonet_group.user.groups",
        "humanresources.node.children",
        "bizproc.workflow.instances",
        "rpa.stage.listfortype",
        "rpa.timeline.listforitem",
        "mail.mailbox.senders",
        "mail.recipient.listcontacts",
        "mail.recipient.listemployees",
    ]
)

# The same text twice is the same message; but an empty one deletes it, and a second deletion is refused.
_UPDATES = frozenset(["im.message.update", "imbot.v2.chat.message.update"])


# Where they have a tag, and say whose it is, what is sent again replaces what was sent.
_TAGGED = frozenset(["im.notify", "im.notify.personal.add", "im.notify.system.add"])


def is_repeatable(method: str, params: Params = ()) -> bool:
    """Whether a method only reads, or is harmless when carried out twice."""
    name = method.lower()
    if name in _REPEATABLE:
        return True
    if name == "batch":
        return _repeatable_batch(params)
    if name in _TAGGED:
        return isinstance(params, Mapping) and bool(params.get("TAG")) and bool(params.get("CLIENT_ID"))
    if name in _UPDATES:
        return _keeps_the_message(params)
    if name == "event.offline.get":
        # By default it deletes what it returns.
        return isinstance(params, Mapping) and str(params.get("clear", "1")) == "0" and "process_id" in params
    last = name.rsplit(".", 1)[-1]
    return last in _READS or (last.startswith("get") and not last.startswith("getorcreate"))


def _keeps_the_message(params: Params) -> bool:
    if not isinstance(params, Mapping):
        return False
    fields = params.get("fields")
    given = {**params, **(fields if isinstance(fields, Mapping) else {})}
    texts = [value for name, value in given.items() if str(name).lower() == "message"]
    return all(isinstance(text, str) and text.strip() for text in texts)


def _repeatable_batch(params: Params) -> bool:
    commands: Any = params.get("cmd") if isinstance(params, Mapping) else params
    if isinstance(commands, Mapping):
        commands = list(commands.values())
    if not isinstance(commands, list) or not commands:
        return False
    names = [command.get("method") if isinstance(command, Mapping) else command for command in commands]
    return all(isinstance(name, str) and is_repeatable(name.split("?", 1)[0].strip()) for name in names)
