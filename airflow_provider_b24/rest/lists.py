"""Which list methods there are, and how each is read: a table of what the vendor's documentation says. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# How a list is asked for its next rows: by "greater than the last id seen"; by the offset ``start``; by the number of
# a page; by offset and limit; by ``pagination`` or one of the two kinds of cursor of REST 3.0; or not at all.
Paging = Literal["key", "start", "page", "offset", "pagination", "tail", "cursor", "refused"]


@dataclass(frozen=True)
class ListMethod:
    """How one method is read.

    :ivar rows: where the rows are in the result; empty where the result is the list.
    :ivar key: the id's name in a row; empty where rows have none.
    :ivar filter: the name of the filter parameter.
    :ivar filter_key: the id's name in the filter.
    :ivar order: the name of the order parameter; a pair where field and direction are two parameters.
    :ivar select: the name of the select parameter, if there is one.
    :ivar changed: the field that a filter finds the time of the last change by, if there is one.
    :ivar created: the same of the time of creation.
    :ivar strict: whether it refuses a filter by an id that is no number, so that a chain of pages stops where a
        reference leads nowhere; otherwise such an id counts as 0.
    :ivar paging: how the next rows are asked for.
    :ivar page: how many rows a page has at most.
    :ivar required: the parameters without which the method refuses to list anything; ``filter.x`` is a condition.
    :ivar batch: whether it may be called within a batch.
    :ivar advice: what to do instead, where it can not be read to its end.
    """

    rows: str = ""
    key: str = "ID"
    filter: str = "filter"
    filter_key: str = "ID"
    order: str | tuple[str, str] = "order"
    select: str | None = "select"
    changed: str | None = None
    created: str | None = None
    strict: bool = False
    paging: Paging = "key"
    page: int = 50
    required: tuple[str, ...] = ()
    batch: bool = True
    advice: str = ""

    @property
    def by_key(self) -> bool:
        """Whether each page can be asked for by "greater than the last id seen"."""
        return self.paging == "key"


_CLASSIC = ListMethod(changed="DATE_MODIFY", created="DATE_CREATE")
_CATALOG = ("id", "filter", "id")

LISTS: dict[str, ListMethod] = {
    "crm.item.list": ListMethod(
        "items", "id", "filter", "id", changed="updatedTime", created="createdTime", strict=True
    ),
    "crm.deal.list": _CLASSIC,
    "crm.lead.list": _CLASSIC,
    "crm.contact.list": _CLASSIC,
    "crm.company.list": _CLASSIC,
    "crm.quote.list": _CLASSIC,
    "crm.activity.list": ListMethod(),
    "crm.product.list": ListMethod(),
    "tasks.task.list": ListMethod("tasks", "id"),
    "user.get": ListMethod("", "ID", "FILTER", "ID", ("sort", "order")),
    "lists.element.get": ListMethod("", "ID", "FILTER", "ID", "ELEMENT_ORDER", "SELECT"),
    "voximplant.statistic.get": ListMethod("", "ID", "FILTER", "ID", ("SORT", "ORDER"), None),
    "catalog.product.list": ListMethod("products", *_CATALOG),
    "catalog.product.offer.list": ListMethod("offers", *_CATALOG),
    "catalog.product.service.list": ListMethod("services", *_CATALOG),
}


def list_method(method: str, version: int = 2) -> ListMethod | None:
    """How a method is read by key; None where it is not, or nothing is known of it."""
    if version == 3:
        return ListMethod("items", "id", "filter", "id") if method.lower() == "tasks.task.list" else None
    return LISTS.get(method.lower())
