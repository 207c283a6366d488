"""What adds, updates and finds the elements of each kind: a table of what the vendor's documentation says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_b24.crm import multifields
from airflow_provider_b24.rest.errors import ConfigurationError

_PRODUCTS = ("product", "product.offer", "product.service")


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

    def adds_values(self, params: Any) -> bool:
        """Whether an update with these parameters adds something each time that it is sent."""
        return multifields.adds_values(params.get(self.fields), self.multifields)

    def shown(self, name: str) -> str:
        """The name of a field in a listed element."""
        if not self.camel:
            return name
        first, *others = name.lower().split("_")
        return first + "".join(word.capitalize() for word in others)


def _entity(scope: str, name: str, *, listed: str = "list", **more: Any) -> Entity:
    return Entity(f"{scope}.{name}.add", f"{scope}.{name}.update", f"{scope}.{name}.{listed}", **more)


_ALL = (
    _entity("crm", "item", within=("entityTypeId", "useOriginalUfNames"), multifields=multifields.UNIVERSAL),
    _entity("crm", "deal"),
    _entity("crm", "lead", multifields=multifields.CLASSIC),
    _entity("crm", "contact", multifields=multifields.CLASSIC),
    _entity("crm", "company", multifields=multifields.CLASSIC),
    _entity("crm", "quote"),
    _entity("tasks", "task", id="taskId", several=None, camel=True),
    _entity(
        "lists",
        "element",
        listed="get",
        fields="FIELDS",
        id="ELEMENT_ID",
        within=("IBLOCK_TYPE_ID", "IBLOCK_ID", "IBLOCK_CODE"),
    ),
    # A filter by several values has no prefix here: it takes a list for one.
    *(_entity("catalog", name, narrowed=("iblockId",), several="") for name in _PRODUCTS),
)
ENTITIES = {entity.add.rpartition(".")[0]: entity for entity in _ALL}
"""By what comes before the last word of their methods."""


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
