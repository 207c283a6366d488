"""What adds, updates and finds the elements of each kind: a table of what the vendor's documentation says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_b24.crm import multifields
from airflow_provider_b24.rest.errors import ConfigurationError


@dataclass(frozen=True)
class Entity:
    """Elements of one kind.

    :ivar add: the method that adds one.
    :ivar update: the method that updates one.
    :ivar list: the method that lists them.
    :ivar fields: the parameter that holds the values of an element.
    :ivar id: the parameter that names the element to update.
    :ivar within: parameters that say which elements are meant at all, or how fields are spelled; for each method.
    :ivar narrowed: fields of an element without which a filter finds nothing.
    :ivar several: what stands before a field in a filter by several values; None where a filter takes one only.
    :ivar multifields: the fields that hold several phones, addresses …
    :ivar camel: whether a listed element has its fields in camel case, unlike a filter.
    """

    add: str
    update: str
    list: str
    fields: str = "fields"
    id: str = "id"
    within: tuple[str, ...] = ()
    narrowed: tuple[str, ...] = ()
    several: str | None = "@"
    multifields: tuple[str, ...] = ()
    camel: bool = False

    def multifields_of(self, params: Any) -> Sequence[str]:
        """The fields of several values that a row gives."""
        return multifields.multifields_in(params.get(self.fields), self.multifields)

    def shown(self, name: str) -> str:
        """The name of a field in a listed element."""
        if not self.camel:
            return name
        first, *others = name.lower().split("_")
        return first + "".join(word.capitalize() for word in others)


def _family(name: str, **more: object) -> Entity:
    return Entity(f"{name}.add", f"{name}.update", f"{name}.list", **more)  # type: ignore[arg-type]


_LIST = ("IBLOCK_TYPE_ID", "IBLOCK_ID", "IBLOCK_CODE")

ENTITIES: dict[str, Entity] = {
    "crm.item": _family("crm.item", within=("entityTypeId", "useOriginalUfNames"), multifields=multifields.UNIVERSAL),
    "crm.deal": _family("crm.deal"),
    "crm.lead": _family("crm.lead", multifields=multifields.CLASSIC),
    "crm.contact": _family("crm.contact", multifields=multifields.CLASSIC),
    "crm.company": _family("crm.company", multifields=multifields.CLASSIC),
    "crm.quote": _family("crm.quote"),
    "tasks.task": _family("tasks.task", id="taskId", several=None, camel=True),
    "lists.element": Entity(
        "lists.element.add",
        "lists.element.update",
        "lists.element.get",
        fields="FIELDS",
        id="ELEMENT_ID",
        within=_LIST,
    ),
    # A filter by several values has no prefix here: it takes a list for one.
    "catalog.product": _family("catalog.product", narrowed=("iblockId",), several=""),
    "catalog.product.offer": _family("catalog.product.offer", narrowed=("iblockId",), several=""),
    "catalog.product.service": _family("catalog.product.service", narrowed=("iblockId",), several=""),
}


def entity_of(method: str) -> Entity:
    """The elements that a method adds or updates.

    :raises ConfigurationError: for a method that does neither, or whose elements can not be found by a key.
    """
    family, _, last = method.lower().rpartition(".")
    entity = ENTITIES.get(family)
    if entity is None or last not in ("add", "update"):
        raise ConfigurationError(
            "the elements of this method can not be found by a key",
            method=method,
            advice=f"A key is for the methods add and update of {', '.join(ENTITIES)}; leave key out for others.",
        )
    return entity
