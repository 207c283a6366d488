"""Rows of the portal in tables of real databases."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.sql.hooks import lineage
from airflow.sdk.lineage import HookLineageCollector

from airflow_provider_b24.hooks.sql_columns import CELLS, column_name
from airflow_provider_b24.hooks.sql_dialects import Dialect
from airflow_provider_b24.hooks.sql_table import Design, SqlTable
from airflow_provider_b24.rest.errors import ConfigurationError
from tests.databases import Database, database, warehouse

__all__ = ["database", "warehouse"]

MOSCOW = dt.timezone(dt.timedelta(hours=3))
KINDS = {
    "id": "integer",
    "title": "string",
    "opportunity": "number",
    "isNew": "boolean",
    "begindate": "date",
    "updatedTime": "datetime",
    "ufCrm_Tags": "json",
    "assignedById": "integer",
}
ROW: dict[str, Any] = {
    "id": 7,
    "title": "Сделка \\N\t«7»\n\\.\r5%s",
    "opportunity": 1234.56,
    "isNew": True,
    "begindate": dt.date(2026, 2, 28),
    "updatedTime": dt.datetime(2026, 3, 1, 2, 30, tzinfo=MOSCOW),
    "ufCrm_Tags": ["a\\b", {"c": 'd"'}],
    "assignedById": 13,
}


def table(database: Database, **more: Any) -> SqlTable:
    given = {"table": "deals", "key": "id", "kinds": KINDS, "create": True, **more}
    return SqlTable(database.hook, Design(**given))


def rows(*ids: int, **more: Any) -> list[dict[str, Any]]:
    return [{**ROW, "id": number, "title": f"Deal {number}", **more} for number in ids]


def ids(database: Database) -> list[int]:
    return sorted(database.table("deals"))


def test_a_table_is_made_of_rows(database: Database) -> None:
    with table(database) as deals:
        deals.store([ROW])
    (row,) = database.table("deals").values()
    moment, tags = row.pop("updated_time"), row.pop("uf_crm_tags")
    assert row == {
        "id": 7,
        "title": ROW["title"],
        "opportunity": pytest.approx(1234.56)
        if database.kind == "any"
        else Decimal("1234.56")
        if database.is_postgres
        else 1234.56,
        "is_new": True,
        "begindate": dt.date(2026, 2, 28) if database.is_postgres else "2026-02-28",
        "assigned_by_id": 13,
    }
    utc = dt.datetime(2026, 2, 28, 23, 30, tzinfo=dt.timezone.utc)
    expected = {"sqlite": "2026-02-28 23:30:00+00:00", "any": utc.replace(tzinfo=None)}
    assert moment == expected.get(database.kind, utc)
    assert (tags if isinstance(tags, list) else json.loads(tags)) == ROW["ufCrm_Tags"]


def test_what_the_portal_sends_fits_as_well_as_what_it_means(database: Database) -> None:
    if database.kind == "sqlite":
        return  # which has texts for most of it
    sent = {
        "id": "7",
        "title": 5,
        "opportunity": "1234.56",
        "isNew": "Y",
        "begindate": "2026-02-28T03:00:00+03:00",
        "updatedTime": "2026-03-01T02:30:00+03:00",
        "ufCrm_Tags": ROW["ufCrm_Tags"],
        "assignedById": "",
    }
    with table(database) as deals:
        deals.store([{**ROW, "title": "5", "assignedById": None}])
        first = database.table("deals")
        deals.store([sent])
    assert database.table("deals") == first


def test_a_row_is_found_by_its_id(database: Database) -> None:
    with table(database) as deals:
        assert deals.store(rows(1, 2, 3)) == 3
        assert deals.store(rows(4) + rows(2, assignedById=14)) == 2
    found = database.table("deals")
    assert {number: row["assigned_by_id"] for number, row in found.items()} == {1: 13, 2: 14, 3: 13, 4: 13}


def test_a_row_that_is_there_like_this_is_left_alone(database: Database) -> None:
    with table(database) as deals:
        deals.store(rows(1, 2))
        changed = deals.store(rows(1, 2))
    # Of an unknown database it is not known.
    assert changed == (2 if database.kind == "any" else 0)


def test_the_later_of_two_rows_with_one_id_counts(database: Database) -> None:
    with table(database) as deals:
        deals.store(rows(1, assignedById=1) + rows(1, assignedById=2))
    assert database.table("deals")[1]["assigned_by_id"] == 2


def test_columns_that_appear_are_added(database: Database) -> None:
    with table(database) as deals:
        deals.store([{"id": 1, "title": "Deal 1"}])
        deals.store([{"id": 2, "title": "Deal 2", 'uf"; DROP TABLE deals; --': "x", "assignedById": 5}])
    with table(database) as deals:
        deals.store([{"id": 3, "opportunity": 1}])
    assert list(database.table("deals")[3]) == [
        *("id", "title", "uf_drop_table_deals_", "assigned_by_id", "opportunity")
    ]
    assert [row["assigned_by_id"] for row in database.table("deals").values()] == [None, 5, None]


def test_names_as_the_portal_has_them_are_quoted(database: Database) -> None:
    name = 'uf"; DROP TABLE deals; --'
    with table(database, style="portal", names={"title": "select"}) as deals:
        deals.store([{"id": 1, name: "x", "assignedById": 5, "title": "t"}])
    assert database.table("deals") == {1: {"id": 1, name: "x", "assignedById": 5, "select": "t"}}


def test_columns_are_left_out_where_none_may_be_added(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    database.query("CREATE TABLE deals (id bigint PRIMARY KEY, note text DEFAULT 'mine', \"Title\" text)")
    with table(database, create=False, add=False) as deals:
        deals.store(rows(1))
        deals.store(rows(2))
    assert database.table("deals")[2] == {"id": 2, "note": "mine", "Title": "Deal 2"}
    assert [record.message for record in caplog.records if "left out" in record.message] == [
        "The table deals has no columns for opportunity, isNew, begindate, updatedTime, ufCrm_Tags, assignedById: "
        "left out"
    ]


def test_other_columns_of_a_row_stay(database: Database) -> None:
    if database.kind == "any":
        return
    database.query("CREATE TABLE deals (id bigint PRIMARY KEY, note text, title text)")
    database.query("INSERT INTO deals VALUES (1, 'mine', 'old')")
    with table(database, create=False, add=False) as deals:
        deals.store(rows(1))
    assert database.table("deals") == {1: {"id": 1, "note": "mine", "title": "Deal 1"}}


def test_a_table_in_a_schema(warehouse: Database) -> None:
    warehouse.query('CREATE SCHEMA "crm"')
    with table(warehouse, table="crm.deals") as deals:
        deals.store(rows(1))
        assert deals.store_part(rows(1, 3), None, 3) == (1, 0)
    assert sorted(warehouse.table("crm.deals")) == [1, 3]


@pytest.mark.parametrize("deleted", ["delete", "mark", "keep"])
def test_what_is_not_in_a_range_is_gone_from_it(database: Database, deleted: str) -> None:
    with table(database, deleted=deleted) as deals:
        deals.store(rows(*range(1, 13)))
        assert deals.store_part(rows(2, 3, 5), 1, 5) == (
            3 if database.kind == "any" else 0,
            0 if deleted == "keep" else 1,
        )
        deals.keep_only([6, 7], 5, 8)
        deals.keep_only([], 10, None)
    gone = {4, 8, 11, 12}
    found = database.table("deals")
    if deleted == "mark":
        assert {number for number, row in found.items() if row["deleted_at"]} == gone
        gone = set()
    elif deleted == "keep":
        gone = set()
    assert set(found) == set(range(1, 13)) - gone


def test_a_row_that_is_back_is_not_marked_any_more(database: Database) -> None:
    with table(database, deleted="mark") as deals:
        deals.store(rows(1, 2))
        assert deals.keep_only([1]) == 1
        assert deals.keep_only([1]) == 0
        marked = database.table("deals")[2]["deleted_at"]
        assert dt.datetime.fromisoformat(str(marked)).replace(tzinfo=None) - dt.datetime(2000, 1, 1) > dt.timedelta(1)
        assert deals.store(rows(1, 2)) == (2 if database.kind == "any" else 1)
    assert database.table("deals")[2]["deleted_at"] is None


def test_ranges_of_texts_are_refused(database: Database) -> None:
    with table(database, kinds={}) as deals:
        deals.store([{"id": "9"}, {"id": "10"}])
        with pytest.raises(ConfigurationError, match="holds no integers"):
            deals.keep_only(["9"], None, "9")
        deals.keep_only(["9"])
    assert list(database.table("deals")) == ["9"]


ODD = {
    "nul": ("title", "a\0b", "a\ufffdb"),
    "half a surrogate pair": ("title", "a\ud83db", "a\ufffdb"),
    "nul within json": ("ufCrm_Tags", {"a": ["b\0", "\\u0000"]}, {"a": ["b\ufffd", "\\u0000"]}),
    "half a pair within json": ("ufCrm_Tags", ["\udc00\0"], ["\ufffd\ufffd"]),
    "a whole pair": ("title", "🚀", "🚀"),
    "a large number": ("opportunity", 10**25, pytest.approx(10**25)),
    "a list in a text": ("title", [1, "x"], '[1, "x"]'),
}


def test_odd_values(database: Database) -> None:
    with table(database) as deals:
        deals.store([{"id": number, field: value} for number, (field, value, _) in enumerate(ODD.values())])
    found = database.table("deals")
    for number, (name, (field, _, expected)) in enumerate(ODD.items()):
        cell = found[number]["uf_crm_tags" if field == "ufCrm_Tags" else field]
        is_json = isinstance(expected, (dict, list)) and isinstance(cell, str)
        assert (json.loads(cell) if is_json else cell) == expected, name


REFUSED = {
    "no number": ("opportunity", "12 шт", "'12 шт' for the column 'opportunity'"),
    "not finite": ("opportunity", float("inf"), "inf for the column 'opportunity'"),
    "too large an integer": ("assignedById", 2**63, "9223372036854775808 for the column 'assigned_by_id'"),
    "half an integer": ("assignedById", 1.5, "1.5 for the column 'assigned_by_id'"),
    "no day": ("begindate", "2026-02-30", "'2026-02-30' for the column 'begindate'"),
    "no boolean": ("isNew", "perhaps", "'perhaps' for the column 'is_new'"),
    "nan within json": ("ufCrm_Tags", [float("nan")], "[nan] for the column 'uf_crm_tags'"),
    "no id": ("id", None, "a row has no 'id'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_named_and_nothing_of_its_piece_is_there(database: Database, name: str) -> None:
    field, value, message = REFUSED[name]
    if name == "no day" and database.kind == "sqlite":
        return
    with table(database) as deals:
        deals.store(rows(1, 2, 3))
        with pytest.raises(ConfigurationError) as caught:
            deals.store([*rows(4, 5), {**ROW, field: value}, *rows(8)])
        assert ids(database) == [1, 2, 3]
        assert message in str(caught.value)
        assert field == "id" or "row 7 has" in str(caught.value)
        deals.store(rows(9))
    assert ids(database) == [1, 2, 3, 9]


def test_what_the_database_refuses_is_named_too(database: Database) -> None:
    check = "title varchar(20) CHECK (length(title) <= 20)"
    database.query(f"CREATE TABLE deals (id bigint PRIMARY KEY, assigned_by_id bigint, {check})")
    with table(database, add=False) as deals:
        with pytest.raises(
            ConfigurationError, match=r"row 7 has .* for the column 'title', which the database refused"
        ):
            deals.store([*rows(*range(1, 7)), {**ROW, "title": "x" * 21}, *rows(*range(8, 30))])
        assert ids(database) == []
        deals.store(rows(1))
    assert ids(database) == [1]


WRONG: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "no table": ([], {"create": False}, "there is no table 'deals'"),
    "no column of the id": (["CREATE TABLE deals (title text)"], {}, "has no column 'id'"),
    "no time of deletion": (
        ["CREATE TABLE deals (id bigint PRIMARY KEY)"],
        {"deleted": "mark", "add": False},
        "has no column 'deleted_at'",
    ),
    "an impossible name": ([], {"table": "crm..deals"}, "table is 'crm..deals'"),
    "two fields for a column": ([], {"names": {"title": "assigned_by_id"}}, "would both be the column"),
    "too long a name": ([], {"names": {"title": "x" * 64}}, "would be the column 'xxx"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_table_that_can_not_take_the_rows(database: Database, name: str) -> None:
    made, design, message = WRONG[name]
    for sql in made:
        database.query(sql)
    with pytest.raises(ConfigurationError, match=message), table(database, **design) as deals:
        deals.store(rows(1))


def test_an_id_that_is_not_unique_is_noticed_before_the_first_row(database: Database) -> None:
    database.query("CREATE TABLE deals (id bigint, title text)")
    if database.kind == "any":
        return
    with pytest.raises(ConfigurationError, match="can not be found by 'id'"), table(database) as deals:
        deals.keep_only([])


def test_types_that_can_not_be_compared(warehouse: Database) -> None:
    warehouse.query(
        "CREATE TABLE deals (id numeric PRIMARY KEY, uf_crm_tags json, updated_time timestamp, title char(9))"
    )
    with table(warehouse, add=False) as deals:
        deals.store([ROW | {"title": "x"}])
        assert deals.store_part([ROW | {"title": "x"}], None, 9) == (1, 0)
    (row,) = warehouse.table("deals").values()
    assert row["uf_crm_tags"] == ROW["ufCrm_Tags"]
    assert row["updated_time"] == dt.datetime(2026, 2, 28, 23, 30)


def test_lineage_learns_of_the_rows(warehouse: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = HookLineageCollector()
    monkeypatch.setattr(lineage, "get_hook_lineage_collector", lambda: collector)
    with table(warehouse) as deals:
        deals.store([{"id": 1, "title": "x"}])
        deals.tell(1)
    (extra,) = collector.collected_assets.extra
    assert extra.value == {"sql": 'INSERT INTO "deals" ("id", "title") VALUES (?, ?)', "row_count": 1}


class Noted:
    """A cursor that notes what it is to execute."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def execute(self, sql: str) -> None:
        self.statements.append(sql)

    def executemany(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        self.statements.append(sql)


OTHERS = {
    "mysql": [
        "CREATE TABLE `crm`.`deals` (`id` BIGINT NOT NULL PRIMARY KEY, `title` LONGTEXT, `opportunity` FLOAT(53), "
        "`is_new` BOOL, `begindate` DATE, `updated_time` DATETIME, `uf_crm_tags` LONGTEXT)",
        "ALTER TABLE `crm`.`deals` ADD `x``y` LONGTEXT",
        "DELETE FROM `crm`.`deals` WHERE `id` = %s",
        "INSERT INTO `crm`.`deals` (`id`, `title`) VALUES (%s, %s)",
    ],
    "mssql": [
        "CREATE TABLE [crm].[deals] ([id] BIGINT NOT NULL PRIMARY KEY, [title] NVARCHAR(max), [opportunity] FLOAT(53), "
        "[is_new] BIT, [begindate] DATE, [updated_time] DATETIME2, [uf_crm_tags] NVARCHAR(max))",
        "ALTER TABLE [crm].[deals] ADD [x`y] NVARCHAR(max)",
        "DELETE FROM [crm].[deals] WHERE [id] = %s",
        "INSERT INTO [crm].[deals] ([id], [title]) VALUES (%s, %s)",
    ],
}


@pytest.mark.parametrize("name", OTHERS)
def test_statements_for_other_databases(name: str) -> None:
    dialect = Dialect(SimpleNamespace(dialect_name=name, placeholder="%s"), ["crm", "deals"])
    cursor = Noted()
    dialect.create(cursor, {column_name(field): kind for field, kind in KINDS.items() if field != "assignedById"})
    dialect.add(cursor, "x`y", "string")
    dialect.upsert(cursor, ["id", "title"], {}, [(1, "x")])
    assert cursor.statements == OTHERS[name]


def test_rows_may_come_as_dictionaries(warehouse: Database) -> None:
    from psycopg.rows import dict_row

    connect = warehouse.hook.get_conn

    def get_conn() -> Any:
        connection = connect()
        connection.row_factory = dict_row
        return connection

    warehouse.hook.get_conn = get_conn
    with table(warehouse) as deals:
        deals.store_part(rows(1, 2), None, 2)
        assert deals.keep_only([2]) == 1
    warehouse.hook.get_conn = connect
    assert ids(warehouse) == [2]


def test_others_never_see_half_a_piece(warehouse: Database) -> None:
    with table(warehouse) as deals:
        deals.store(rows(1, 2))
        connection = deals._connection
        with connection.cursor() as cursor:
            deals._stored(cursor, deals._prepared(rows(3)), rows(3))
            assert ids(warehouse) == [1, 2]
        connection.rollback()
    assert ids(warehouse) == [1, 2]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-08-30", "2024-08-30"),
        ("2024-08-30T00:00:00+03:00", "2024-08-30"),
        ("2024-08-30T02:00:00+02:00", "2024-08-30"),
        # West of Greenwich, midnight of UTC is in the evening before.
        ("2024-08-29T19:00:00-05:00", "2024-08-30"),
        ("2024-08-30T15:30:00+03:00", "2024-08-30"),
    ],
)
def test_a_day_is_the_one_that_people_see_in_the_portal(text, day):
    made = CELLS["date"](text)
    assert (type(made), made.isoformat()) == (dt.date, day)


@pytest.mark.parametrize("text", ["2024-13-45", "x", "2024-08-30x"])
def test_what_is_no_day_does_not_fit(text):
    with pytest.raises(ValueError, match=r"month must be|isoformat"):
        CELLS["date"](text)
