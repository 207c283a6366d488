"""The fixture ``bitrix24_portal``, which pytest finds by itself where the package is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_b24.testing.portal import FakePortal


@pytest.fixture
def bitrix24_portal(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePortal]:
    """A fresh Bitrix24 portal on loopback; the connection ``bitrix24_default`` leads to it."""
    from airflow_provider_b24.testing.portal import FakePortal

    # What the provider learns of this portal's limits is not for the programs of this machine.
    monkeypatch.setenv("B24_LEDGER_DIR", str(tmp_path_factory.getbasetemp() / "bitrix24-ledger"))
    with FakePortal() as portal:
        monkeypatch.setenv("AIRFLOW_CONN_BITRIX24_DEFAULT", json.dumps(portal.connection()))
        yield portal
