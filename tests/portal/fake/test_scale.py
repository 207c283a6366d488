"""Very many deals, methods that take time, and deals that change while they are read."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_b24.testing.records import RecordedCall

ITEM = {"entityTypeId": 2, "start": -1, "order": {"id": "ASC"}}


def test_a_million_deals_take_no_time(open_portal, caller_of):
    started = time.perf_counter()
    call = caller_of(open_portal(seed_deals=1_000_000))
    assert time.perf_counter() - started < 5.0  # made one by one they take 15 s
    page = call.result("crm.item.list", ITEM | {"filter": {">id": 999_970}})["items"]
    assert [row["id"] for row in page] == list(range(999_971, 1_000_001))
    assert call("crm.deal.list", {"select": ["ID"], "start": 999_999})[1]["total"] == 1_000_000


def test_a_deal_looks_the_same_wherever_it_is_looked_at(portal, call):
    portal.add_deals(60)
    names = ["id", "title", "closed", "closedate"]
    chosen = {"entityTypeId": 2, "select": names}
    pages = [call.result("crm.item.list", params)["items"] for params in ({"entityTypeId": 2}, chosen, chosen)]
    kept = [call.result("crm.item.get", {"entityTypeId": 2, "id": number})["item"] for number in range(1, 51)]
    assert pages[0] == kept == call.result("crm.item.list", {"entityTypeId": 2})["items"]
    assert pages[1] == pages[2] == [{name: row[name] for name in names} for row in kept]
    old = call.result("crm.deal.list", {"filter": {"<=ID": 50}})
    assert [(row["ID"], row["TITLE"], row["OPPORTUNITY"]) for row in old] == [
        (str(row["id"]), row["title"], f"{row['opportunity']:.2f}") for row in kept
    ]
    assert old == [call.result("crm.deal.get", {"id": number}) for number in range(1, 51)]


def test_a_changed_deal_is_shown_as_it_is_now(portal, call):
    portal.add_deals(30)
    chosen = {"entityTypeId": 2, "select": ["id", "title"]}
    assert call.result("crm.item.list", chosen)["items"][6]["title"].endswith(" 7")
    call.result("crm.item.update", {"entityTypeId": 2, "id": 7, "fields": {"title": "changed"}})
    portal.company.crm.tables[2].rows[8]["title"] = "changed as well"
    call.result("crm.item.delete", {"entityTypeId": 2, "id": 9})
    page = {row["id"]: row["title"] for row in call.result("crm.item.list", chosen)["items"]}
    assert (page[7], page[8], 9 in page, len(page)) == ("changed", "changed as well", False, 29)
    assert [row["id"] for row in call.result("crm.item.list", chosen | {"filter": {"title": "changed"}})["items"]] == [
        7
    ]


def test_no_id_is_given_twice(portal, call):
    portal.add_deals(3)
    call.result("crm.item.delete", {"entityTypeId": 2, "id": 3})
    assert call.result("crm.deal.add", {"fields": {"TITLE": "x"}}) == 4
    portal.add_deals(2)
    assert [row["ID"] for row in call.result("crm.deal.list", {})] == ["1", "2", "4", "5", "6"]


def test_a_page_in_a_batch_is_of_its_own_moment(portal, call):
    portal.add_deals(1)
    commands = {
        "before": "crm.item.list?entityTypeId=2&select[]=title&start=-1",
        "change": "crm.item.update?entityTypeId=2&id=1&fields[title]=new",
        "after": "crm.item.list?entityTypeId=2&select[]=title&start=-1",
    }
    found = call.result("batch", {"cmd": commands})["result"]
    assert found["before"]["items"][0]["title"].endswith(" 1")
    assert found["after"]["items"] == [{"title": "new"}]


def test_commands_take_their_time_one_after_the_other(open_portal, caller_of):
    portal = open_portal(command_latency=0.05)
    portal.operating.told_in_batches = True
    call, other = caller_of(portal), caller_of(portal)
    answered: list[tuple[str, int]] = []
    portal.on_call = lambda record: answered.append((record.method, len(record.params)))
    with ThreadPoolExecutor(1) as pool:
        started = time.perf_counter()
        batch = pool.submit(call.result, "batch", {"cmd": {f"k{number}": "profile" for number in range(6)}})
        other.result("server.time")
        last = batch.result()["result_time"]["k5"]
        assert time.perf_counter() - started >= 0.3
    assert [method for method, _ in answered] == ["server.time", "batch"]
    assert last["operating"] == pytest.approx(0.3, abs=0.05)
    assert portal.most_at_once == 2


def test_who_reads_by_key_meanwhile_has_all_that_stayed(portal, call):
    portal.add_deals(600)
    churn = portal.churn(seed=5)

    def change(record: RecordedCall) -> None:
        for _ in range(9):
            churn.step()

    portal.on_call = change
    read = [0]
    page = [0] * 50
    while len(page) == 50:
        chosen = ITEM | {"filter": {">id": read[-1]}, "select": ["id"]}
        page = [row["id"] for row in call.result("crm.item.list", chosen)["items"]]
        read += page
    portal.on_call = None
    assert len(read) == len(set(read))
    assert churn.created
    assert churn.deleted
    assert churn.stayed <= set(read) <= churn.before | churn.created | {0}
    assert set(portal.company.crm.tables[2].ids) == (churn.before | churn.created) - churn.deleted


def test_deals_change_by_themselves_for_a_while(portal, call):
    portal.add_deals(50)
    with portal.churn(1000) as churn:
        while not churn.deleted:
            assert call("crm.item.list", {"entityTypeId": 2})[0] == 200
    assert len(portal.company.crm.tables[2].rows) == 50 + len(churn.created) - len(churn.deleted)
