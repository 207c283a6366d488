"""How list methods are read, each of which is described in a table. Pure, and light: DAG files import it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.methods import check_method, is_repeatable

# How a list is asked for its next rows: by "greater than the last id seen"; by the offset ``start``, which the answer
# counts for (``next``, ``total``); by offset and limit; by the number of a page; by a cursor that is an id (ascending:
# "tail", descending: "before"), or one that the answer holds; not at all, for all are in one answer. "refused" can not
# be read to its end.
Paging = Literal["key", "start", "offset", "page", "tail", "before", "cursor", "whole", "refused"]


@dataclass(frozen=True)
class ListMethod:
    """How one method is read.

    :ivar rows: where the rows are in the result; empty where the result is the list, ``{}`` where it is a mapping of
        rows by their ids.
    :ivar key: the id's name in a row; empty where rows have none.
    :ivar filter: the name of the filter parameter; empty where there is none.
    :ivar filter_key: the id's name in filter and order.
    :ivar order: the name of the order parameter; a pair where field and direction are two parameters; empty where the
        list can not be sorted by id.
    :ivar select: the name of the select parameter, if there is one.
    :ivar changed: the field that a filter finds the time of the last change by, if there is one.
    :ivar created: the same of the time of creation.
    :ivar strict: whether it refuses a filter by an id that is no number, so that a chain of pages stops where a
        reference leads nowhere; otherwise such an id counts as 0.
    :ivar paging: how the next rows are asked for.
    :ivar page: how many rows a page has at most.
    :ivar position: the parameters that say where a page begins and how long it is; a dot leads into a mapping.
    :ivar cursor: where the answer has the cursor of the next page.
    :ivar required: the parameters without which the method lists nothing: ``filter.x`` is a condition,
        ``a|b`` either of two.
    :ivar selected: the fields that a select must name besides the id.
    :ivar parameters: what it takes besides filter, order and select, in small letters, where conditions may also stand
        beside the filter: any other parameter is one.
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
    position: tuple[str, str] = ("start", "")
    cursor: str = ""
    required: tuple[str, ...] = ()
    selected: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    batch: bool = True
    advice: str = ""

    @property
    def by_key(self) -> bool:
        """Whether each page can be asked for by "greater than the last id seen"."""
        return self.paging == "key"

    def check_required(self, method: str, params: Mapping[str, Any]) -> None:
        """Refuse parameters that the method would list nothing for.

        :raises ConfigurationError: naming the one that is missing.
        """
        for name in self.required:
            if not any(_is_given(params, one) for one in name.split("|")):
                shown = name.replace("|", " or ").replace(".", "'s ")
                raise ConfigurationError(
                    f"{shown} is missing",
                    method=method,
                    advice="Without it there are ids only, or nothing at all: name fields."
                    if name.lower() == "select"
                    else "The method lists nothing without it.",
                )


def _is_given(params: Mapping[str, Any], name: str) -> bool:
    """Whether a parameter, or a condition of any comparison by a field, is there; in either case of letters."""
    name, _, field = name.partition(".")
    value = next((value for key, value in params.items() if str(key).lower() == name.lower()), None)
    if not field:
        return value not in (None, "", [], ())
    if isinstance(value, Mapping):
        names = [str(key) for key in value]
    else:
        conditions = value if isinstance(value, (list, tuple)) else ()
        names = [str(one[0]) for one in conditions if isinstance(one, (list, tuple)) and one]
    return any(re.sub(r"^\W+", "", one).lower() == field.lower() for one in names)


def check_reads(method: str, version: int = 2) -> None:
    """Refuse to read with a method that may write.

    :raises ConfigurationError: for what can be no method, too.
    """
    check_method(method)
    if list_method(method, version) is None and not is_repeatable(method):
        raise ConfigurationError(
            f"method is {method!r}, which is no list that is known, and may write",
            advice="Read with the list method, as crm.deal.list; a single call is made by hook.call.",
        )


def list_method(method: str, version: int = 2) -> ListMethod | None:
    """How a list method is read; None where nothing is known of it."""
    from airflow_provider_b24.rest.list_table import LISTS, LISTS_3

    return (LISTS_3 if version == 3 else LISTS).get(method.lower())
