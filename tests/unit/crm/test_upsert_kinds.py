"""Elements of each kind are found, added and updated in the forms that the vendor documents."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_b24.crm.upsert import upserting
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.storing import Refused, StoringPortal, carried_out, peer


class Tasks(StoringPortal):
    """Conditions in upper case and by one value, rows in camel case, ids as texts."""

    def _execute(self, method: str, params: dict[str, Any]) -> Any:
        if method == "tasks.task.list":
            conditions = dict(params["filter"])
            last = int(conditions.pop(">ID", 0))
            if any(not isinstance(value, str) or not name[0].isalpha() for name, value in conditions.items()):
                raise Refused("0")
            rows = [
                {"id": str(number), "ufAutoOrder": element["UF_AUTO_ORDER"]}
                for number, element in self.elements.items()
                if number > last and all(element.get(name) == value for name, value in conditions.items())
            ]
            return {"tasks": rows[:50]}
        number = int(params["taskId"]) if method == "tasks.task.update" else len(self.elements) + 1
        self.elements[number] = self.elements.get(number, {}) | params["fields"]
        return {"task": {"id": str(number), "title": self.elements[number]["TITLE"]}}


class Lists(StoringPortal):
    """Everything in upper case; a property is a mapping; an update answers only that it was done."""

    def _execute(self, method: str, params: dict[str, Any]) -> Any:
        if (params["IBLOCK_TYPE_ID"], params["IBLOCK_ID"]) != ("lists", "47"):
            raise Refused("ERROR_IBLOCK_NOT_FOUND")
        if method == "lists.element.get":
            ((name, wanted),) = params["FILTER"].items()
            values = wanted.values() if name.startswith("@") else [wanted]
            found = [
                {"ID": str(number), "PROPERTY_9": {"77": element["PROPERTY_9"]}}
                for number, element in self.elements.items()
                if element["PROPERTY_9"] in values
            ]
            start = int(params.get("start", 0))
            return found[start : start + 50]
        number = int(params["ELEMENT_ID"]) if method == "lists.element.update" else len(self.elements) + 1
        self.elements[number] = dict(params["FIELDS"])
        return number if method == "lists.element.add" else True


class Products(StoringPortal):
    """A filter names the catalog, and takes a list for several values; the element is wrapped."""

    def _execute(self, method: str, params: dict[str, Any]) -> Any:
        if method == "catalog.product.list":
            conditions = dict(params["filter"])
            last = int(conditions.pop(">id", 0))
            if conditions.pop("iblockId", None) != "23" or not {"id", "iblockId"} <= set(params["select"].values()):
                raise Refused("0")
            ((name, wanted),) = conditions.items()
            values = wanted.values() if isinstance(wanted, dict) else [wanted]
            rows = [
                {"id": number, "iblockId": 23, name.lstrip("="): self._shown(name.lstrip("="), element)}
                for number, element in self.elements.items()
                if number > last and element[name.lstrip("=")] in values
            ]
            return {"products": rows[:50]}
        number = int(params["id"]) if method == "catalog.product.update" else len(self.elements) + 1
        self.elements[number] = self.elements.get(number, {}) | params["fields"]
        return {"element": {"id": number, "createdBy": 1}}

    @staticmethod
    def _shown(name: str, element: dict[str, Any]) -> Any:
        return element[name] if name == "xmlId" else {"value": element[name], "valueId": "9"}


def task(key: str, title: str) -> dict[str, Any]:
    return {"fields": {"TITLE": title, "UF_AUTO_ORDER": key, "RESPONSIBLE_ID": 1}}


def listed(key: str, title: str) -> dict[str, Any]:
    fields = {"NAME": title, "PROPERTY_9": key}
    return {"IBLOCK_TYPE_ID": "lists", "IBLOCK_ID": 47, "ELEMENT_CODE": f"code_{key}", "FIELDS": fields}


def product(key: str, title: str) -> dict[str, Any]:
    return {"fields": {"iblockId": 23, "name": title, "xmlId": key, "property258": key}}


@pytest.mark.parametrize(
    ("portal", "method", "key", "row", "title"),
    [
        (Tasks, "tasks.task.add", "UF_AUTO_ORDER", task, "TITLE"),
        (Lists, "lists.element.add", "PROPERTY_9", listed, "NAME"),
        (Products, "catalog.product.add", "xmlId", product, "name"),
        (Products, "catalog.product.add", "property258", product, "name"),
    ],
    ids=["tasks", "lists", "products", "properties"],
)
@pytest.mark.parametrize("count", [1, 130])
def test_an_element_is_added_once_and_updated_then(  # noqa: PLR0917 - a table
    portal: type[StoringPortal], method: str, key: str, row: Any, title: str, count: int
) -> None:
    there = portal(FakeClock())
    for version in ("old", "new"):
        rows = [row(f"x{number}", f"{number} {version}") for number in range(count)]
        outcomes, error = carried_out(upserting(method, key), rows, there, peer(clock=there.clock))
        assert error is None
        assert [outcome.error for outcome in outcomes] == [None] * count
        assert [there.elements[outcome.id or 0][title] for outcome in outcomes] == [
            f"{number} {version}" for number in range(count)
        ]
        assert all(outcome.created if version == "old" else outcome.updated for outcome in outcomes)
    assert len(there.elements) == count
