"""What Airflow's hook lineage learns, with its own collector."""

from __future__ import annotations

import pytest
from airflow.sdk import lineage, plugins_manager

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.lineage import reads, writes


class Reader(lineage.HookLineageReader):
    """As a plugin brings one."""


@pytest.fixture
def reader(monkeypatch):
    plugins_manager.get_hook_lineage_readers_plugins()
    monkeypatch.setattr(plugins_manager, "get_hook_lineage_readers_plugins", lambda: [Reader])
    lineage.get_hook_lineage_collector.cache_clear()
    yield Reader()
    lineage.get_hook_lineage_collector.cache_clear()


def told(reader):
    found = reader.retrieve_hook_lineage()
    return [[(info.asset.uri, info.count, info.context) for info in side] for side in (found.inputs, found.outputs)]


def test_what_is_read_and_written_is_told(portal, connect, reader):
    connect(portal.connection())
    with Bitrix24Hook() as hook:
        reads(hook, "crm.item.list", {"entityTypeId": 2})
        reads(hook, "crm.deal.list")
        writes(hook, "crm.item.update", {"entityTypeId": 3})
    host = portal.url.partition("://")[2].strip("/")
    assert told(reader) == [[(f"bitrix24://{host}/crm/deal", 2, hook)], [(f"bitrix24://{host}/crm/contact", 1, hook)]]


def test_lists_that_are_read_and_rows_that_are_written_are_told(face, portal, reader):
    face.iterate("crm.item.list", {"entityTypeId": 2})
    face.iterate("user.get")
    face.call_many("crm.item.add", ({"entityTypeId": 1030, "fields": {}} for _ in range(60)))
    host = portal.url.partition("://")[2].strip("/")
    inputs, outputs = told(reader)
    assert [uri for uri, _, _ in inputs] == [f"bitrix24://{host}/crm/deal", f"bitrix24://{host}/user"]
    assert outputs == [(f"bitrix24://{host}/crm/type/1030", 1, face.hook)]


def test_without_a_reader_nothing_happens():
    lineage.get_hook_lineage_collector.cache_clear()
    # There is no such connection, and nobody asks for it.
    reads(Bitrix24Hook("none"), "crm.item.list")
    assert isinstance(lineage.get_hook_lineage_collector(), lineage.NoOpCollector)


def test_it_never_fails_what_it_tells_of(reader):
    reads(Bitrix24Hook("none"), "crm.item.list")
    assert told(reader) == [[], []]
