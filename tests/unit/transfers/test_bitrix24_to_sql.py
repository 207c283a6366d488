"""Bitrix24ToSqlOperator: lists of a portal over HTTP, in tables of real databases."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.testing import Fault
from airflow_provider_b24.transfers.bitrix24_to_sql import Bitrix24ToSqlOperator
from tests.databases import Database, connected
from tests.loaded import differences, listed
from tests.unit.operators.conftest import supervised
from tests.unit.operators.loads import Store, change, deals_anew, run_of
from tests.unit.operators.test_deferral import deferred, lasting, meanwhile
from tests.unit.triggers.comms import KeepingSupervisor

__all__ = ["lasting", "meanwhile", "supervised"]

DEALS = {"entityTypeId": 2}
HOUR = 3600


@pytest.fixture(params=["sqlite", "psycopg"])
def database(request: Any, tmp_path: Any, monkeypatch: Any) -> Database:
    """What differs between other databases and drivers, the table's own tests try."""
    return connected(request.param, request, tmp_path, monkeypatch)


@pytest.fixture
def portal(meanwhile: Any, supervised: Any) -> Any:
    """A portal with 230 deals that were changed long ago; the tasks' supervisor has Variables."""
    deals_anew(meanwhile.portal, 230)
    meanwhile.ahead += HOUR
    supervised(KeepingSupervisor())
    return meanwhile.portal


def operator(**arguments: Any) -> Bitrix24ToSqlOperator:
    given = {"task_id": "load", "params": DEALS, "conn_id": "warehouse", "table": "deals", "create_table": True}
    return Bitrix24ToSqlOperator(**{**given, "chunk": 50, **arguments})


def in_run(run_id: str = "run", **more: Any) -> Any:
    return run_of(run_id, **more)


def load(run_id: str, **arguments: Any) -> dict[str, Any]:
    return operator(**arguments).execute(in_run(run_id))


def remove(portal: Any, *numbers: int) -> None:
    with portal.company.lock:
        for number in numbers:
            portal.company.crm.tables[2].rows.remove(number)


def asked(portal: Any) -> int:
    return len([call for call in portal.calls if call.method == "crm.item.list"])


def test_the_first_run_loads_everything_and_the_next_ones_what_was_changed(portal, database, meanwhile):
    result = load("first")
    assert differences(database.table("deals"), listed(portal)) == []
    assert (result["rows"], result["changed"], result["gone"]) == (230, 230, 0)

    meanwhile.ahead += HOUR
    change(portal, 7, title="Новое", opportunity=0.1)
    with portal.company.lock:
        for number in range(3):
            portal.company.crm.add(2, {"title": f"Deal {number}"}, 1)
    before = asked(portal)
    result = load("second")
    assert (result["rows"], result["changed"]) == (4, 4)
    # The last row, the first page, and where it would go on.
    assert asked(portal) - before <= 3
    assert differences(database.table("deals"), listed(portal)) == []

    meanwhile.ahead += HOUR
    assert load("third")["changed"] == 0


@pytest.mark.parametrize("deleted", ["delete", "mark", "keep"])
def test_a_full_reload_finds_what_is_gone(portal, database, deleted):
    load("first", deleted=deleted)
    gone = {1, 50, 51, 77, 229, 230}
    remove(portal, *gone)
    result = load("second", deleted=deleted, full_reload=True)
    table = database.table("deals")
    if deleted == "mark":
        assert {number for number, row in table.items() if row["deleted_at"]} == gone
    if deleted != "delete":
        for number in gone:
            del table[number]
    assert differences(table, listed(portal)) == []
    assert result["gone"] == (0 if deleted == "keep" else 6)


@pytest.mark.parametrize("deleted", ["delete", "mark"])
def test_a_load_of_changes_finds_what_is_gone_on_request(portal, database, meanwhile, deleted):
    load("first", deleted=deleted)
    meanwhile.ahead += HOUR
    remove(portal, 3, 120, 230)
    assert load("second", deleted=deleted)["gone"] == 0
    before = asked(portal)
    result = load("third", deleted=deleted, detect_deleted=True)
    assert result["gone"] == 3
    assert asked(portal) > before + 1
    left = {number for number, row in database.table("deals").items() if not row.get("deleted_at")}
    assert left == set(listed(portal))
    assert load("fourth", deleted=deleted, detect_deleted=True)["gone"] == 0


def test_a_list_that_is_not_read_by_ids_is_compared_as_a_whole(portal, database):
    people = {"method": "user.search", "params": {}, "table": "people", "key": "ID"}
    first = load("first", **people)
    assert first["rows"] == first["changed"] == len(database.table("people")) > 3
    database.query("INSERT INTO people (id, name) VALUES ('99999', 'gone')")
    second = load("second", **people)
    assert second["gone"] == 1
    assert len(database.table("people")) == first["rows"]


def test_columns_that_appear_in_the_portal(portal, database, meanwhile):
    load("first", params={**DEALS, "select": ["id", "title"]})
    assert set(database.table("deals")[1]) == {"id", "title"}
    result = load("second", params={**DEALS, "select": ["id", "title", "opportunity"]})
    assert result["rows"] == 230
    assert float(database.table("deals")[1]["opportunity"]) == listed(portal)[1]["opportunity"]


MADE: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "money": ("UF_CRM_PRICE", "1234.50|EUR", {"uf_crm_price": Decimal("1234.50"), "uf_crm_price_currency": "EUR"}),
    "money without a currency": ("UF_CRM_COST", "", {"uf_crm_cost": None, "uf_crm_cost_currency": None}),
    "date": ("UF_CRM_DAY", "2026-03-01", {"uf_crm_day": dt.date(2026, 3, 1)}),
    "boolean": ("UF_CRM_FLAG", "Y", {"uf_crm_flag": True}),
    "string": ("UF_CRM_WORDS", ["a", "б\0"], {"uf_crm_words": ["a", "б\ufffd"]}),
    "integer": ("UF_CRM_NUMBER", "17", {"uf_crm_number": "17"}),
}


@pytest.mark.parametrize("name", MADE)
def test_fields_that_the_company_has_made(portal, warehouse, name):
    field, value, expected = MADE[name]
    made = portal.add_field(field, name.partition(" ")[0], entity_type=1030, multiple=isinstance(value, list))
    with portal.company.lock:
        added = portal.company.crm.add(1030, {"title": "x", made: value}, 1)
    every = {"entityTypeId": 1030, "filter": {"id": added["id"]}}
    load("run", params=every, kinds={"ufCrmNumber": "string"})
    (row,) = warehouse.table("deals").values()
    assert {name: row[name] for name in expected} == expected


def test_columns_may_have_other_names(portal, warehouse):
    select = {**DEALS, "select": ["id", "title", "assignedById"]}
    load("first", params=select, column_names="portal", columns={"title": "Название"})
    assert set(warehouse.table("deals")[1]) == {"id", "Название", "assignedById"}
    # Another way to name them is another table, of which there is no mark.
    assert load("second", params=select)["rows"] == 230
    assert set(warehouse.table("deals")[1]) == {"id", "Название", "assignedById", "title", "assigned_by_id"}


def test_a_table_that_was_emptied_is_filled(portal, database):
    load("first")
    database.query("DELETE FROM deals")
    assert load("second")["rows"] == 230
    assert differences(database.table("deals"), listed(portal)) == []


def test_a_list_without_rows_empties_no_table(portal, database):
    load("first")
    remove(portal, *range(1, 231))
    with pytest.raises(AirflowFailException, match="the list has no row, and the table 'deals' has some"):
        load("second", full_reload=True)
    with pytest.raises(AirflowFailException, match="the list has no row, and the table 'deals' has some"):
        load("third", detect_deleted=True)
    assert len(database.table("deals")) == 230
    load("fourth", full_reload=True, deleted="keep")
    database.query("DROP TABLE deals")
    assert load("fifth")["rows"] == 0
    assert database.table("deals") == {}


def test_part_of_the_list_says_nothing_about_the_rest(portal, warehouse, meanwhile):
    load("first")
    remove(portal, 1, 2, 3)
    meanwhile.ahead += HOUR
    change(portal, 9, title="x")
    assert load("second", since="2020-01-01", until="2100-01-01")["gone"] == 0
    assert len(warehouse.table("deals")) == 230


def test_a_value_that_does_not_fit_is_named_or_left_out(portal, database, caplog):
    load("first")
    change(portal, 120, probability="много")
    with portal.company.lock:
        portal.company.crm.tables[2].rows[120]["probability"] = "много"
    with pytest.raises(AirflowFailException, match="row 120 has 'много' for the column 'probability'"):
        load("second", full_reload=True)
    result = load("third", full_reload=True, misfits="null")
    assert result["misfits"] == 1
    assert database.table("deals")[120]["probability"] is None
    assert "NULL instead: row 120 has 'много'" in caplog.text


def test_a_page_that_fails_leaves_whole_pieces_and_the_next_try_goes_on(portal, database):
    store = Store()
    portal.faults.add(Fault("error", "crm.item.list", in_batch=True, code="ACCESS_DENIED", skip=3, times=2))
    with pytest.raises(AirflowFailException):
        operator(parallel=1).execute(in_run(store=store))
    there = set(database.table("deals"))
    assert there == set(range(1, max(there, default=0) + 1))
    remove(portal, 2, 229)
    before = asked(portal)
    result = operator(parallel=1).execute(in_run(store=store))
    assert result["rows"] == 229
    assert asked(portal) - before <= 5
    expected = listed(portal)
    # What changed behind its back comes with the next load.
    assert set(database.table("deals")) == set(expected) | {2}


def test_the_slot_is_given_back_and_the_load_goes_on(portal, database, meanwhile):
    store = Store()
    meanwhile.portal.costs["crm.item.list"] = 200.0
    seconds, kept = deferred(operator(parallel=1), in_run(store=store))
    there = len(database.table("deals"))
    meanwhile.portal.costs.clear()
    meanwhile.ahead += seconds + 600
    result = operator().resume(in_run(store=store), None, **kept)
    assert result["rows"] == 230
    assert there < 230
    assert differences(database.table("deals"), listed(portal)) == []


WRONG = {
    "conn_id": ("", "conn_id is ''"),
    "table": ("crm.", "table is 'crm.'"),
    "create_table": ("yes", "create_table is 'yes'"),
    "add_columns": (1, "add_columns is 1"),
    "column_names": ("upper", "column_names is 'upper'"),
    "columns": (["id"], "columns is "),
    "deleted": ("drop", "deleted is 'drop'"),
    "hook_params": ("x", "hook_params is 'x'"),
    "detect_deleted": (None, "detect_deleted is None"),
    "kinds": ({"title": "varchar"}, "kinds"),
    "misfits": (None, "misfits is None"),
    "chunk": (0, "chunk is 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_can_not_be_right_is_told_while_the_dag_is_parsed(name):
    value, message = WRONG[name]
    with pytest.raises(ConfigurationError, match=message):
        operator(**{name: value})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"title": "a%"}, "columns has 'title': 'a%'"),
        ({"title": ""}, "columns has 'title': ''"),
        ({"title": "a", "stageId": "A"}, "columns gives 'title' and 'stageId' the column 'A'"),
    ],
    ids=range(3),
)
def test_names_that_no_column_can_have_are_told_while_the_dag_is_parsed(columns, message):
    with pytest.raises(ConfigurationError, match=message):
        operator(columns=columns)


def test_a_list_of_which_nothing_is_known_needs_the_name_of_its_id():
    with pytest.raises(ConfigurationError, match="key is None"):
        operator(method="vendor.thing.list", params={})
    operator(method="vendor.thing.list", params={}, key="ID")
    operator(method="{{ params.method }}")


def test_an_order_of_another_kind_is_refused_before_anything_is_deleted(portal, database):
    load("first")
    with pytest.raises(AirflowFailException, match="rows come from 230 to "):
        load("second", params={**DEALS, "order": {"id": "DESC"}}, deleted="delete")
    assert len(database.table("deals")) == 230


def test_finding_what_is_kept_is_refused():
    with pytest.raises(ConfigurationError, match="detect_deleted is set, and deleted is 'keep'"):
        operator(detect_deleted=True, deleted="keep")


def test_it_is_a_task_like_any_other():
    with DAG("dag") as dag:
        operator(table="{{ params.table }}", conn_id="{{ conn }}", full_reload="{{ params.full }}")
    (task,) = json.loads(json.dumps(DagSerialization.to_dict(dag)))["dag"]["tasks"]
    assert task["__var"]["table"] == "{{ params.table }}"


@pytest.mark.parametrize("database", ["psycopg"], indirect=True)
def test_a_schema_that_is_not_there_is_told_and_not_tried_again(portal, database):
    with pytest.raises(AirflowFailException, match=r"refuses the table 'nowhere\.deals': .*Make the schema") as caught:
        load("first", table="nowhere.deals")
    assert "nowhere" in str(caught.value)
