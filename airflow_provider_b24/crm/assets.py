"""What a REST method reads or writes, as an asset of Airflow: ``bitrix24://example.bitrix24.com/crm/deal``.

An asset is a kind of object in a portal, not one object: all methods for deals, old and new, have the same. It says
nothing secret, and one asset has one spelling. Pure; Airflow imports this while it reads DAG files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from airflow_provider_b24.rest.errors import ConfigurationError

SCHEME = "bitrix24"

# entityTypeId -> what crm.TYPE.* calls it; all other types are numbers, as in a card's address.
_TYPES = {1: "lead", 2: "deal", 3: "contact", 4: "company", 7: "quote", 31: "invoice"}
# Words of a method's name that say what is done, or to how many, but not to what.
_NOT_THINGS = frozenset(["item", "items", "element"])


def asset_uri(portal: str, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> str:
    """The asset that a method reads or writes.

    :param portal: the portal's address, such as ``https://example.bitrix24.com``.
    :param method: a REST method, such as ``crm.item.list``.
    :param params: its parameters; ``entityTypeId`` and ``IBLOCK_ID`` tell what it is about.
    """
    given = {str(name).lower(): value for name, value in params.items()} if isinstance(params, Mapping) else {}
    first, *words = method.lower().split(".")
    things = [first, *(word for word in words[:-1] if word not in _NOT_THINGS)]
    number = _number(given.get("entitytypeid"))
    if first == "crm" and words[:1] == ["item"] and number:
        things[1:1] = [_TYPES[number]] if number in _TYPES else ["type", str(number)]
    elif first == "crm" and things[1:] == ["invoice"]:
        # The old invoices; "invoice" is what took their place.
        things[1:] = ["type", "5"]
    elif first == "task":
        # Old names for parts of what tasks.task.* is about.
        things = ["tasks", "task", *things[1:]]
    elif first == "lists" and words[:1] == ["element"]:
        things.append(str(given.get("iblock_id") or given.get("iblock_code") or "").lower())
    return f"{SCHEME}://{urlsplit(portal.lower()).netloc.rpartition('@')[2]}/{'/'.join(filter(None, things))}"


def normalised(parts: SplitResult) -> SplitResult:
    """The one spelling of an asset's address; Airflow calls it for each ``Asset("bitrix24://…")``.

    :raises ConfigurationError: without a portal or a path, and for the address of a webhook, which is secret.
    """
    portal = parts.netloc.rpartition("@")[2].lower().removesuffix(":443")
    path = "/".join(["", *filter(None, parts.path.lower().split("/"))])
    if not portal or not path or path.startswith("/rest/"):
        # Not its words, which may be a webhook's.
        raise ConfigurationError(
            f"the asset is no address of the form {SCHEME}://portal/what",
            advice=f"It looks like {SCHEME}://example.bitrix24.com/crm/deal.",
        )
    return SplitResult(SCHEME, portal, path, "", "")


def _number(value: Any) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
