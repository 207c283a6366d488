"""Bitrix24ToObjectStorageOperator: a list of a portal over HTTP, into files in a folder and in memory."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.io.store import attach
from fsspec.implementations.local import LocalFileSystem
from pyarrow import parquet

from airflow_provider_b24.operators import file_parts
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, FileError
from airflow_provider_b24.testing import Fault
from airflow_provider_b24.testing.crm import FIELDS
from airflow_provider_b24.transfers.bitrix24_to_object_storage import Bitrix24ToObjectStorageOperator
from tests.unit.operators.conftest import supervised
from tests.unit.operators.loads import Killed, Store, change, deals, deals_anew, run_of
from tests.unit.operators.test_deferral import deferred, lasting, meanwhile
from tests.unit.triggers.comms import KeepingSupervisor

__all__ = ["lasting", "meanwhile", "supervised"]

DEALS = {"entityTypeId": 2}


@pytest.fixture
def portal(meanwhile):
    meanwhile.portal.company.crm.tables[2].fields = FIELDS[2]
    deals_anew(meanwhile.portal, 230)
    meanwhile.ahead += 3600
    return meanwhile.portal


@pytest.fixture
def lake(tmp_path):
    """Where the files go."""
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest.fixture
def small_parts(monkeypatch):
    """Parts and pieces of fifty rows."""
    monkeypatch.setattr(file_parts, "_PART_ROWS", 50)
    monkeypatch.setattr(Bitrix24ToObjectStorageOperator, "rows_at_once", 50)


@pytest.fixture
def airflow(supervised):
    return supervised(KeepingSupervisor())


def load(path, **arguments):
    """With the path that a template has become."""
    operator = parsed("{{ path }}", **arguments)
    operator.path = str(path)
    return operator


def parsed(path, **arguments):
    return Bitrix24ToObjectStorageOperator(**{"task_id": "load", "params": DEALS, "path": path, **arguments})


def rows_of(path):
    """What is in a file, whichever format it has."""
    data, name = Path(path).read_bytes(), str(path)
    if name.endswith(".gz"):
        data, name = gzip.decompress(data), name[:-3]
    if name.endswith(".parquet"):
        return parquet.read_table(io.BytesIO(data)).to_pylist()
    if name.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    return [json.loads(line) for line in data.decode().splitlines()]


def ids_of(path):
    return [int(row["id"]) for row in rows_of(path)]


def files_in(folder):
    return sorted(str(one.relative_to(folder)) for one in Path(folder).rglob("*") if one.is_file())


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "jsonl.gz", "csv", "csv.gz", "parquet"])
def test_every_row_is_in_the_file(portal, lake, ending):
    path = lake / "new" / f"deals.{ending}"
    result = load(path).execute(run_of())
    assert ids_of(path) == sorted(deals(portal))
    assert (result["rows"], result["files"], result["bytes"]) == (230, [str(path)], path.stat().st_size)
    assert files_in(lake) == [f"new/deals.{ending}"]
    assert [one for one in (lake / "new").iterdir() if one.is_dir()] == []


def test_json_lines_are_what_the_portal_sends(portal, lake):
    load(lake / "raw.jsonl").execute(run_of())
    load(lake / "typed.jsonl", typed=True).execute(run_of())
    raw, typed = rows_of(lake / "raw.jsonl")[0], rows_of(lake / "typed.jsonl")[0]
    sent = deals(portal)[1]
    assert {name: raw[name] for name in sent} == sent
    assert (raw["opened"], typed["opened"]) == ("Y", True)
    assert typed["begindate"] == sent["begindate"][:10]
    assert typed["updatedTime"] == sent["updatedTime"]


def test_parquet_has_the_portals_fields(portal, lake):
    load(lake / "a.parquet").execute(run_of())
    table = parquet.read_table(lake / "a.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    assert [kinds[name] for name in ("id", "title", "opportunity", "opened", "begindate", "updatedTime")] == [
        "int64", "string", "double", "bool", "date32[day]", "timestamp[us, tz=UTC]",
    ]  # fmt: skip
    assert table.column("opportunity").to_pylist() == [row["opportunity"] for row in deals(portal).values()]


def test_chosen_columns_in_their_order(portal, lake):
    params = {**DEALS, "select": ["title", "stageId", "begindate"]}
    for ending in ("csv", "parquet"):
        load(lake / f"a.{ending}", params=params, kinds={"begindate": "string"}, typed=False).execute(run_of())
        assert list(rows_of(lake / f"a.{ending}")[0]) == ["id", "title", "stageId", "begindate"]
    assert rows_of(lake / "a.parquet")[0]["begindate"] == deals(portal)[1]["begindate"]


def test_values_that_their_columns_can_not_hold(portal, lake, capsys):
    with portal.company.lock:
        for key in range(1, 26):
            portal.company.crm.tables[2].rows[key]["opportunity"] = "much"
    path = lake / "a.parquet"
    with pytest.raises(AirflowFailException, match="row 1 has 'much' in 'opportunity', which is of the kind number"):
        load(path).execute(run_of())
    assert files_in(lake) == []
    assert load(path, misfits="null").execute(run_of())["misfits"] == 25
    assert [row["opportunity"] is None for row in rows_of(path)] == [True] * 25 + [False] * 205
    assert capsys.readouterr().out.count("Nothing is written for it") == 20
    assert load(path, kinds={"opportunity": "string"}).execute(run_of())["misfits"] == 0
    assert rows_of(path)[0]["opportunity"] == "much"


def test_a_list_of_which_the_portal_says_nothing_is_text(portal, lake, capsys):
    portal.faults.add(Fault("error", "voximplant.statistic.get", code="X"))
    with pytest.raises(AirflowFailException):
        load(lake / "a.parquet", method="voximplant.statistic.get", params={}).execute(run_of())
    assert "Nothing is known of the fields of voximplant.statistic.get" in capsys.readouterr().out
    assert files_in(lake) == []


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_an_empty_load_is_an_empty_file(portal, lake, ending):
    path = lake / f"a.{ending}"
    path.write_bytes(b"older")
    result = load(path, params={**DEALS, "filter": {"stageId": "none"}}).execute(run_of())
    assert (rows_of(path), result["rows"], len(result["files"])) == ([], 0, 1)
    if ending == "parquet":
        assert "opportunity" in parquet.read_table(path).column_names
    elif ending == "csv":
        assert path.read_bytes().startswith(b"id,title,")


@pytest.mark.parametrize("ending", ["jsonl", "csv.gz", "parquet"])
def test_several_files(portal, lake, ending):
    folder = lake / "deals"
    folder.mkdir()
    for name in (f"part-00007.{ending}", "part-00001.txt", f"mine.{ending}"):
        (folder / name).write_text("older")
    result = load(f"{folder}/", format=ending, rows_per_file=100).execute(run_of())
    names = [f"part-{number:05}.{ending}" for number in range(3)]
    assert result["files"] == [f"{folder}/{name}" for name in names]
    assert [len(ids_of(folder / name)) for name in names] == [100, 100, 30]
    assert [key for name in names for key in ids_of(folder / name)] == sorted(deals(portal))
    assert files_in(folder) == sorted([*names, "part-00001.txt", f"mine.{ending}"])
    load(folder, format=ending, rows_per_file=1000).execute(run_of("next"))
    assert files_in(folder) == sorted([names[0], "part-00001.txt", f"mine.{ending}"])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("several", [None, 50])
def test_a_field_that_appears_on_the_way_has_a_column_in_all_files(portal, lake, small_parts, ending, several):
    # Page by page.
    portal.faults.add(Fault("error", "batch", code="ERROR_METHOD_NOT_FOUND", status=404, times=None))
    portal.on_call = Appears(portal)
    path = lake / "deals"
    result = load(path, format=ending, rows_per_file=several, parallel=1).execute(run_of())
    portal.on_call = None
    assert len(result["files"]) == (5 if several else 1)
    rows = []
    for one in result["files"]:
        target = Path(one) if several else path.rename(lake / f"whole.{ending}")
        rows += rows_of(target)
    assert [int(row["id"]) for row in rows] == sorted(deals(portal))
    assert {list(row)[-1] for row in rows} == {"more"}
    known = [bool(row["more"]) for row in rows]
    assert (known[0], known.count(True) > 20) == (False, True)


class Appears:
    """From the third page on, deals have one more field."""

    def __init__(self, portal):
        self.portal = portal
        self.pages = 0

    def __call__(self, call):
        self.pages += call.method == "crm.item.list"
        # The first one asks for the last row.
        if self.pages == 3:
            table = self.portal.company.crm.tables[2]
            table.fields = {**table.fields, "more": ("string", "MORE")}
            for key in deals(self.portal):
                table.rows[key]["more"] = "new"


class Death:
    """Kills who works with files, at one of the things he does."""

    def __init__(self, monkeypatch):
        self.at = None
        self.count = 0
        for name in ("open", "mv", "rm", "makedirs"):
            monkeypatch.setattr(LocalFileSystem, name, self._deadly(getattr(LocalFileSystem, name)))

    def _deadly(self, method):
        def deadly(*args, **options):
            self.count += 1
            if self.at is not None and self.count >= self.at:
                raise Killed
            return method(*args, **options)

        return deadly


@pytest.fixture
def death(small_parts, monkeypatch):
    return Death(monkeypatch)


@pytest.mark.parametrize(("ending", "several"), [("jsonl", None), ("parquet", None), ("csv.gz", 60)])
def test_it_may_be_killed_at_any_point(portal, lake, death, ending, several):
    deals_anew(portal, 110)
    path = lake / f"deals.{ending}"
    everything = sorted(deals(portal))
    deaths = 0
    while True:
        store = Store()
        context = run_of(f"run {deaths}", store=store)
        death.count, death.at = 0, deaths + 1
        try:
            load(path, rows_per_file=several, full_reload=True).execute(context)
        except Killed:
            deaths += 1
        else:
            break
        if several is None and path.exists():
            assert ids_of(path) == everything, "whole, or the old one"
        death.at = None
        load(path, rows_per_file=several, full_reload=True).execute(context)
        files = [path] if several is None else sorted(path.iterdir())
        assert [key for one in files for key in ids_of(one)] == everything
        assert files_in(lake) == [str(one.relative_to(lake)) for one in files], "nothing is left over"
    assert deaths > 6


def test_a_later_try_does_not_read_again_what_is_safe(portal, lake, small_parts):
    deals_anew(portal, 4000)
    store, path = Store(), lake / "deals.jsonl"
    portal.faults.add(Fault("reset", "batch", times=None, skip=1))
    with pytest.raises(Bitrix24Error):
        load(path, parallel=1).execute(run_of(store=store))
    portal.faults.clear()
    safe = json.loads(store.kept["bitrix24/load"])
    assert 50 < safe["rows"] < 4000
    assert not path.exists()
    before = len(portal.calls)
    assert load(path).execute(run_of(store=store))["rows"] == 4000
    assert ids_of(path) == sorted(deals(portal))
    asked = [call.params.get("filter", {}) for call in portal.calls[before:] if call.method == "crm.item.list"]
    keys = [int(one[">id"]) for one in asked if str(one.get(">id")).isdecimal()]
    assert min(keys) == safe["after"]
    assert files_in(lake) == ["deals.jsonl"]


def test_parts_of_another_format_are_of_no_use(portal, lake, death):
    store = Store()
    death.at = 8
    with pytest.raises(Killed):
        load(lake / "deals", format="csv").execute(run_of(store=store))
    death.at = None
    load(lake / "deals", format="jsonl").execute(run_of(store=store))
    assert (lake / "deals").rename(lake / "deals.jsonl")
    assert ids_of(lake / "deals.jsonl") == sorted(deals(portal))


@pytest.mark.parametrize("several", [None, 100])
def test_a_folder_is_no_file(portal, lake, several):
    path = lake / "deals.csv"
    path.mkdir() if several is None else path.touch()
    with pytest.raises(AirflowFailException, match=f"is a {'folder' if several is None else 'file'}"):
        load(path, rows_per_file=several).execute(run_of())
    assert path.is_dir() is (several is None)


def test_the_slot_is_given_back_on_the_way(portal, lake, small_parts, meanwhile):
    path = lake / "deals.parquet"
    meanwhile.portal.costs["crm.item.list"] = 200.0
    _, kept = deferred(load(path, parallel=1), run_of())
    meanwhile.portal.costs.clear()
    assert not path.exists()
    meanwhile.ahead += 3600
    result = load(path).resume(run_of(), None, **kept)
    assert result["rows"] == 230
    assert ids_of(path) == sorted(deals(portal))
    assert files_in(lake) == ["deals.parquet"]


def test_each_run_has_a_file_of_what_was_changed(portal, lake, airflow, meanwhile):
    load(lake / "1.jsonl").execute(run_of("first"))
    meanwhile.ahead += 3600
    change(portal, 5, title="new")
    result = load(lake / "2.jsonl").execute(run_of("second"))
    assert [row["title"] for row in rows_of(lake / "2.jsonl")] == ["new"]
    assert result["since"] is not None
    # Done again, it is the same file.
    meanwhile.ahead += 3600
    load(lake / "more.jsonl").execute(run_of("more"))
    load(lake / "3.jsonl").execute(run_of("third"))
    load(lake / "2.jsonl").execute(run_of("second"))
    assert ids_of(lake / "2.jsonl") == [5]
    assert ids_of(lake / "3.jsonl") == []


@pytest.mark.parametrize(
    "arguments",
    [{"incremental": False}, {"since": "P1D"}, {"full_reload": True}, {"method": "department.get", "params": {}}],
    ids=range(4),
)
def test_a_path_that_is_always_the_same_is_for_loads_that_write_all_they_are_to(arguments):
    assert parsed("a.csv", **arguments).path == "a.csv"


def test_the_file_of_the_run_before_is_not_replaced_by_what_was_changed_since(portal, lake, airflow, meanwhile):
    path = lake / "2026-05-04.jsonl"
    load(path).execute(run_of("scheduled"))
    before = path.read_bytes()
    asked = len(portal.calls)
    with pytest.raises(AirflowFailException, match=r"would replace it by what was changed since.*\{\{ run_id \}\}"):
        load(path).execute(run_of("manual"))
    assert path.read_bytes() == before
    assert {call.method for call in portal.calls[asked:]} <= {"server.time"}
    # The same run again is welcome, and so is one that writes everything.
    load(path).execute(run_of("scheduled"))
    load(path, full_reload=True).execute(run_of("manual"))
    assert len(ids_of(path)) == 230


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_the_ids_that_there_are(portal, lake, airflow, meanwhile, ending):
    ids_path = lake / "ids" / f"now.{ending}"
    load(lake / "1.jsonl").execute(run_of("first"))
    with portal.company.lock:
        for one in (3, 200):
            portal.company.crm.tables[2].rows.remove(one)
    meanwhile.ahead += 3600
    result = load(lake / "2.jsonl", ids_path=str(ids_path)).execute(run_of("second"))
    assert (result["rows"], result["ids"]) == (0, 228)
    assert result["files"] == [str(lake / "2.jsonl"), str(ids_path)]
    assert set(ids_of(lake / "1.jsonl")) - set(ids_of(ids_path)) == {3, 200}
    assert all(isinstance(row["id"], int) for row in rows_of(ids_path)) or ending == "csv"


def test_a_store_without_folders(portal):
    attach("memory", fs=fsspec.filesystem("memory"))
    load("memory://lake/deals/a.csv").execute(run_of())
    load("memory://lake/deals/parts", format="jsonl", rows_per_file=100).execute(run_of())
    store = fsspec.filesystem("memory")
    assert sorted(store.find("/lake")) == [
        "/lake/deals/a.csv",
        *(f"/lake/deals/parts/part-0000{number}.jsonl" for number in range(3)),
    ]
    assert store.cat("/lake/deals/a.csv").count(b"\r\n") == 231
    store.rm("/lake", recursive=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"path": ""}, "path is ''. Name a file"),
        ({"path": "s3://b/folder/"}, "path is 's3://b/folder/'. Name a file"),
        ({"path": "deals"}, "path is 'deals', and its ending is no format"),
        ({"path": "{{ ds }}.xlsx"}, "its ending is no format"),
        ({"path": "a.csv", "format": "xlsx"}, "format is 'xlsx'. It can be jsonl, csv, parquet, jsonl.gz, csv.gz."),
        ({"path": "a.csv", "rows_per_file": 0}, "rows_per_file is 0"),
        ({"path": "a.csv", "rows_per_file": True}, "rows_per_file is True"),
        ({"path": "a.csv", "typed": "no"}, "typed is 'no'"),
        ({"path": "a.csv", "kinds": {"x": "int"}}, "kinds has 'x': 'int'"),
        ({"path": "a.csv", "misfits": "skip"}, "misfits is 'skip'. It can be 'fail', 'null'."),
        ({"path": "a.csv", "ids_path": "ids"}, "path is 'ids', and its ending is no format"),
        ({"path": "a.csv", "ids_path": ""}, "ids_path is ''"),
        ({"path": "a.csv"}, "path is 'a.csv' in each run, and the load is incremental"),
        ({"path": "a.csv", "interval": True}, "path is 'a.csv' in each run"),
        ({"path": "a.csv", "full_reload": "{{ x }}"}, "Put {{ run_id }} into the path; or set incremental=False"),
        (
            {"path": "/a/b.csv", "incremental": False, "ids_path": "file:///a/x/../b.csv"},
            "ids_path and path are both '/a/b.csv'",
        ),
        ({"path": "a.csv", "kinds": "x"}, "kinds is 'x'"),
    ],
    ids=range(17),
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        parsed(**arguments)
    assert words in str(caught.value)


def test_what_is_rendered():
    operator = parsed("{{ root }}/{{ ds }}.csv", conn_id="{{ conn }}", ids_path="{{ root }}/ids.csv")
    words: Any = {"root": "s3://lake", "ds": "2026-05-04", "conn": "aws"}
    operator.render_template_fields(words)
    assert (operator.path, operator.conn_id, operator.ids_path) == (
        "s3://lake/2026-05-04.csv",
        "aws",
        "s3://lake/ids.csv",
    )
    assert parsed("{{ path }}").path == "{{ path }}"


def test_two_runs_on_one_path_are_told_of_each_other(portal, lake, small_parts, monkeypatch):
    path, real = lake / "a.jsonl", Bitrix24ToObjectStorageOperator.complete

    def complete(self, hook, target):
        # What the other one does when it begins.
        monkeypatch.undo()
        shutil.rmtree(lake / "_a.jsonl.loading")
        return real(self, hook, target)

    monkeypatch.setattr(Bitrix24ToObjectStorageOperator, "complete", complete)
    with pytest.raises(FileError, match=r"written for .*a\.jsonl is gone.*\{\{ run_id \}\}"):
        load(path).execute(run_of())


def test_a_rendered_path_without_a_format(portal, lake):
    operator = parsed("{{ path }}")
    operator.path = f"{lake}/deals"
    with pytest.raises(AirflowFailException, match="its ending is no format"):
        operator.execute(run_of())
