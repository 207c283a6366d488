"""Whether a table has what the portal has: row by row and column by column, both read by the plainest means."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import requests

from airflow_provider_b24.testing import FakePortal


def listed(portal: FakePortal) -> dict[int, dict[str, Any]]:
    """All deals as the portal shows them, page by page."""
    found: dict[int, dict[str, Any]] = {}
    session = requests.Session()
    session.trust_env = False
    while True:
        asked = {"entityTypeId": 2, "filter": {">id": max(found, default=0)}, "order": {"id": "ASC"}}
        items = session.post(f"{portal.webhook_url}crm.item.list", json=asked).json()["result"]["items"]
        if not items:
            return found
        found |= {item["id"]: item for item in items}


def differences(table: dict[int, dict[str, Any]], portal: dict[int, dict[str, Any]]) -> list[str]:
    """In what the table is not like the portal."""
    found = [f"{number} is missing" for number in portal.keys() - table.keys()]
    found += [f"{number} is too much" for number in table.keys() - portal.keys()]
    fields = {field for row in portal.values() for field in row}
    columns = {field: re.sub("([A-Z])", r"_\1", field).lower() for field in fields}
    for number in table.keys() & portal.keys():
        names = {columns[field]: field for field in portal[number]}
        if table[number].keys() - {"deleted_at"} != names.keys():
            found.append(f"{number} has {table[number].keys() ^ names.keys()}")
            continue
        for name, field in names.items():
            cell, sent = table[number][name], portal[number][field]
            if not _alike(cell, sent):
                found.append(f"{name} of {number} is {cell!r} and {sent!r} in the portal")
    return found


def _alike(cell: Any, sent: Any) -> bool:
    if cell is None or sent is None:
        return cell is sent
    if sent in ("Y", "N") and not isinstance(cell, str):
        return bool(cell) is (sent == "Y") and cell in (0, 1)
    if isinstance(cell, (int, float, Decimal)):
        return Decimal(str(cell)) == Decimal(str(sent))
    if cell == sent:
        return True
    if isinstance(cell, dt.datetime) or (isinstance(cell, str) and re.match(r"\d{4}-\d\d-\d\d \d", cell)):
        moment = cell if isinstance(cell, dt.datetime) else dt.datetime.fromisoformat(cell)
        return moment.replace(tzinfo=moment.tzinfo or dt.timezone.utc) == dt.datetime.fromisoformat(sent)
    # A day is written as the midnight that it begins with in UTC.
    moment = dt.datetime.fromisoformat(sent).astimezone(dt.timezone.utc)
    return str(cell) == str(moment.date()) and moment.time() == dt.time()
