"""What loading operators have in common: marks, windows, going on after a stop. Into a dictionary, over HTTP."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import contextmanager
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_b24.operators.load import LoadsList
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError
from airflow_provider_b24.testing import Fault
from tests.unit.operators.loads import Killed, Store, change, deals, deals_anew, moment, run_of
from tests.unit.operators.test_deferral import deferred, lasting, meanwhile
from tests.unit.triggers.comms import KeepingSupervisor

__all__ = ["lasting", "meanwhile"]

DEALS = {"entityTypeId": 2}
KEY = "bitrix24_mark:dag:load"
HOUR = 3600


class Shelf:
    """Where the rows of a test go.

    :ivar rows: by id; what was taken in another try as well.
    :ivar taken: the ids in order, each time that they were.
    :ivar die_at: dies at that storing, counted over all tries.
    """

    def __init__(self, die_at: int | None = None, lost: str = "", new: str = "") -> None:
        self.rows: dict[int, Any] = {}
        self.taken: list[int] = []
        self.die_at = die_at
        self.lost = lost
        self.new = new
        self.stored = 0
        self.finished = 0

    def store(self, rows: list[Any]) -> bool:
        self.stored += 1
        if self.stored == self.die_at:
            raise Killed
        self.rows |= {row["id"]: row for row in rows}
        self.taken += [row["id"] for row in rows]
        return True

    def secure(self) -> bool:
        return True

    def kept(self) -> dict[str, Any]:
        return {"stored": self.stored}

    def finish(self) -> dict[str, Any]:
        self.finished += 1
        return {"stored": len(self.taken)}


class Loading(LoadsList):
    rows_at_once = 50
    typed = False

    def __init__(self, *, shelf: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shelf = shelf

    def lacks(self, hook: Any, kept: Any) -> str:
        return self.shelf.new if kept is None else self.shelf.lost

    @contextmanager
    def open_target(self, hook: Any, load: Any) -> Any:
        yield self.shelf


def load(shelf=None, **arguments):
    arguments = {"task_id": "load", "params": DEALS, **arguments}
    return Loading(shelf=Shelf() if shelf is None else shelf, **arguments)


def loaded(context, **arguments):
    """The ids that one run reads, and what it returns."""
    shelf = Shelf()
    result = load(shelf, **arguments).execute(context)
    return shelf.taken, result


@pytest.fixture
def portal(meanwhile):
    """A portal with 230 deals that were changed long ago; its clock stands still unless it is told otherwise."""
    deals_anew(meanwhile.portal, 230)
    meanwhile.ahead += HOUR
    return meanwhile.portal


@pytest.fixture
def airflow(supervised):
    return supervised(KeepingSupervisor())


def mark_of(airflow, key=KEY):
    return json.loads(airflow.variables[key])


def test_the_first_run_reads_everything_and_the_next_ones_what_was_changed(portal, airflow, meanwhile, capsys):
    before = moment(portal)
    ids, result = loaded(run_of("first"))
    assert ids == sorted(deals(portal))
    assert (result["rows"], result["since"], result["until"], result["stored"]) == (230, None, None, 230)
    mark = dt.datetime.fromisoformat(result["mark"])
    assert dt.timedelta(0) <= mark - before <= dt.timedelta(seconds=5)
    assert mark.utcoffset() == dt.timedelta(hours=3), "the portal's own"
    assert mark_of(airflow)["mark"] == result["mark"]
    assert f"everything, for there is no mark in the Variable {KEY} yet" in capsys.readouterr().out

    meanwhile.ahead += HOUR
    chosen = ids[7], ids[100]
    for one in chosen:
        change(portal, one, title="new")
    meanwhile.ahead += 60
    ids, result = loaded(run_of("second"))
    assert tuple(ids) == chosen
    assert dt.datetime.fromisoformat(result["since"]) == mark - dt.timedelta(minutes=5)
    assert dt.datetime.fromisoformat(result["mark"]) > mark
    assert "the mark " in capsys.readouterr().out

    # They were changed a minute before the second mark: the overlap.
    meanwhile.ahead += HOUR
    assert tuple(loaded(run_of("third"))[0]) == chosen
    ids, result = loaded(run_of("fourth"))
    assert (ids, result["rows"]) == ([], 0)
    meanwhile.ahead += HOUR
    assert loaded(run_of("fifth"), overlap=dt.timedelta(minutes=110))[0] == list(chosen)


def test_what_changes_while_it_is_read_comes_with_the_next_run(portal, airflow, meanwhile):
    first = min(deals(portal))

    class Busy(Shelf):
        def store(self, rows):
            if not self.stored:
                change(portal, first, title="new")
            meanwhile.ahead += 600
            return super().store(rows)

    load(Busy(), overlap=dt.timedelta(0)).execute(run_of("first"))
    meanwhile.ahead += HOUR
    assert loaded(run_of("second"), overlap=dt.timedelta(0))[0] == [first]


def test_a_run_that_fails_moves_nothing(portal, airflow, meanwhile):
    loaded(run_of("first"))
    kept = mark_of(airflow)
    meanwhile.ahead += HOUR
    for one in list(deals(portal))[:120]:
        change(portal, one, title="new")
    with pytest.raises(Killed):
        load(Shelf(die_at=2)).execute(run_of("second"))
    for in_batch in (False, True):
        portal.faults.add(Fault("error", "crm.item.list", code="ACCESS_DENIED", times=None, in_batch=in_batch))
    with pytest.raises(AirflowFailException):
        loaded(run_of("third"))
    portal.faults.clear()
    assert mark_of(airflow) == kept
    assert len(loaded(run_of("fourth"))[0]) == 120


@pytest.mark.parametrize(
    "other",
    [
        {"params": {**DEALS, "filter": {"stageId": "WON"}}},
        {"params": {"entityTypeId": 2, "select": ["id"]}},
        {"method": "crm.deal.list", "params": {}},
    ],
    ids=["filter", "select", "method"],
)
def test_a_mark_holds_for_what_it_was_made_for(portal, airflow, meanwhile, other, capsys):
    loaded(run_of("first"))
    capsys.readouterr()
    meanwhile.ahead += HOUR
    shelf = Shelf()
    shelf.store = lambda rows: True  # type: ignore[method-assign]
    result = load(shelf, **other).execute(run_of("second"))
    assert result["since"] is None
    assert result["rows"] > 20
    assert "the mark in the Variable bitrix24_mark:dag:load is of something else" in capsys.readouterr().out
    assert load(shelf, **other).execute(run_of("third"))["since"] is not None


def test_a_target_that_has_lost_what_it_had(portal, airflow, meanwhile, capsys):
    loaded(run_of("first"))
    shelf = Shelf(new="the table is new")
    assert load(shelf).execute(run_of("second"))["rows"] == 230
    assert "everything, for the table is new" in capsys.readouterr().out


@pytest.mark.parametrize(("said", "rows"), [(True, 230), ("True", 230), (" yes ", 230), ("", 0), ("None", 0), ("0", 0)])
def test_a_full_reload_on_request(portal, airflow, meanwhile, said, rows):
    first = loaded(run_of("first"))[1]
    meanwhile.ahead += HOUR
    ids, result = loaded(run_of("second"), full_reload=said)
    assert len(ids) == rows
    assert result["mark"] > first["mark"]
    assert mark_of(airflow)["mark"] == result["mark"]


def test_a_switch_that_is_neither(portal, airflow):
    operator = load(full_reload="{{ x }}")
    operator.full_reload = "maybe"
    with pytest.raises(AirflowFailException, match="full_reload is 'maybe'"):
        operator.execute(run_of())


def test_people_may_edit_and_delete_the_mark(portal, airflow, meanwhile):
    loaded(run_of("first"))
    meanwhile.ahead += HOUR
    change(portal, min(deals(portal)), title="new")
    meanwhile.ahead += HOUR
    loaded(run_of("second"))
    edited = mark_of(airflow)
    edited["mark"] = (moment(portal) - dt.timedelta(hours=1, minutes=30)).isoformat()
    airflow.variables[KEY] = json.dumps(edited)
    assert loaded(run_of("third"))[0] == [min(deals(portal))]
    # By the portal's clock, not by UTC, which is three hours behind.
    edited["mark"] = (moment(portal) - dt.timedelta(hours=1, minutes=30)).replace(tzinfo=None).isoformat()
    airflow.variables[KEY] = json.dumps(edited)
    assert loaded(run_of("third again"))[0] == [min(deals(portal))]
    airflow.variables[KEY] = json.dumps({**edited, "mark": "last week"})
    with pytest.raises(AirflowFailException, match=rf"the Variable {KEY} has the mark 'last week'"):
        loaded(run_of("fourth"))
    airflow.variables[KEY] = "no JSON"
    assert len(loaded(run_of("fifth"))[0]) == 230
    del airflow.variables[KEY]
    assert len(loaded(run_of("sixth"))[0]) == 230


def test_a_run_that_is_done_again_reads_what_it_read(portal, airflow, meanwhile):
    loaded(run_of("first"))
    meanwhile.ahead += HOUR
    changed = min(deals(portal))
    change(portal, changed, title="new")
    second = loaded(run_of("second"))[1]
    meanwhile.ahead += HOUR
    loaded(run_of("third"))
    kept = mark_of(airflow)
    ids, again = loaded(run_of("second"))
    assert (ids, again["since"], again["mark"]) == ([changed], second["since"], None)
    assert len(loaded(run_of("first"))[0]) == 230
    assert mark_of(airflow) == kept
    for number in range(31):
        loaded(run_of(f"more {number}"))
    assert len(mark_of(airflow)["runs"]) == 30


def test_of_two_runs_side_by_side_the_later_one_counts(portal, airflow, meanwhile):
    loaded(run_of("first"))
    meanwhile.ahead += HOUR
    change(portal, min(deals(portal)), title="new")
    later: dict[str, Any] = {}

    class Slow(Shelf):
        def finish(self):
            meanwhile.ahead += HOUR
            later.update(loaded(run_of("later"))[1])
            return super().finish()

    result = load(Slow()).execute(run_of("earlier"))
    assert mark_of(airflow)["mark"] == later["mark"] == result["mark"]
    assert set(mark_of(airflow)["runs"]) == {"first", "earlier", "later"}


@pytest.mark.parametrize(
    ("arguments", "kind"), [({}, "backfill"), ({"interval": True}, "scheduled")], ids=["backfill", "interval"]
)
def test_by_the_runs_data_interval(portal, airflow, meanwhile, arguments, kind):
    loaded(run_of("first"))
    kept = mark_of(airflow)
    begin = moment(portal) - dt.timedelta(days=20)
    end = begin + dt.timedelta(days=7)
    interval: dict[str, Any] = {"data_interval_start": begin, "data_interval_end": end}
    ids, result = loaded(run_of("back", kind=kind, **interval), **arguments)
    expected = [
        key for key, row in deals(portal).items() if begin <= dt.datetime.fromisoformat(row["updatedTime"]) < end
    ]
    assert ids == expected
    assert 10 < len(ids) < 100
    assert [dt.datetime.fromisoformat(result[edge]) for edge in ("since", "until")] == [begin, end]
    assert result["mark"] is None
    assert mark_of(airflow) == kept
    # An incremental load of that run would be empty.
    if kind == "scheduled":
        assert loaded(run_of("other", kind=kind, **interval))[0] == []


@pytest.mark.parametrize("interval", [{}, {"data_interval_start": "2026-05-04", "data_interval_end": "2026-05-04"}])
def test_an_interval_without_length_is_refused(portal, airflow, interval):
    with pytest.raises(AirflowFailException, match=r"data interval is .*CronDataIntervalTimetable"):
        loaded(run_of("back", kind="backfill", **interval))
    assert not portal.calls or portal.calls[-1].method != "crm.item.list"
    assert len(loaded(run_of("back", kind="backfill"), incremental=False)[0]) == 230


def test_between_moments_that_are_given(portal, airflow, meanwhile):
    middle = sorted(row["updatedTime"] for row in deals(portal).values())[100]
    early, _ = loaded(run_of("a"), until=middle)
    late, result = loaded(run_of("b"), since=middle)
    assert sorted(early + late) == sorted(deals(portal))
    assert len(early) == 100
    assert (result["since"], result["mark"], airflow.variables) == (middle, None, {})
    operator = load(since="{{ a }}", until="{{ b }}")
    words: Any = {"a": "None", "b": ""}
    operator.render_template_fields(words)
    assert operator.execute(run_of("c"))["rows"] == 230
    assert mark_of(airflow)["mark"]


def test_so_long_ago(portal, airflow, meanwhile):
    meanwhile.ahead += HOUR
    change(portal, 5, title="new")
    meanwhile.ahead += HOUR
    ids, result = loaded(run_of(), since=dt.timedelta(minutes=90))
    assert ids == [5]
    assert moment(portal) - dt.datetime.fromisoformat(result["since"]) <= dt.timedelta(minutes=91)


def test_a_list_without_a_time_of_change_is_read_whole(portal, airflow, monkeypatch):
    monkeypatch.setattr(portal, "scopes", [*portal.scopes, "department"])
    shelf = Shelf()
    shelf.store = lambda rows: True  # type: ignore[method-assign]
    for run_id in ("first", "second"):
        result = load(shelf, method="department.get", params={}).execute(run_of(run_id))
        assert (result["rows"] > 1, result["since"], result["mark"]) == (True, None, None)
    assert airflow.variables == {}


def test_without_airflow_around_it_everything_is_read(portal, meanwhile):
    for arguments in ({}, {}, {"full_reload": True}):
        ids, result = loaded({}, **arguments)
        assert (len(ids), result["mark"]) == (230, None)


@pytest.mark.parametrize("die_at", range(1, 6))
def test_a_try_that_is_killed_is_gone_on_with(portal, airflow, meanwhile, die_at, capsys):
    store, shelf = Store(), Shelf(die_at=die_at)
    with pytest.raises(Killed):
        load(shelf).execute(run_of(store=store))
    assert shelf.finished == 0
    began = moment(portal)
    meanwhile.ahead += HOUR
    result = load(shelf).execute(run_of(store=store))
    assert shelf.taken == sorted(deals(portal)), "each row once, in order"
    assert (result["rows"], shelf.finished) == (230, 1)
    if die_at > 1:
        assert f"it goes on behind the key {shelf.taken[50 * (die_at - 1) - 1]}" in capsys.readouterr().out
        # From before the first try on, for what was changed meanwhile may be behind that key.
        assert dt.datetime.fromisoformat(result["mark"]) <= began
    # That is over: the next run begins with its own.
    assert load(Shelf()).execute(run_of("next", store=Store()))["rows"] == 0


def test_a_try_that_the_portal_ends_is_gone_on_with(portal, airflow, meanwhile):
    deals_anew(portal, 4000)
    store, shelf = Store(), Shelf()
    portal.faults.add(Fault("reset", "batch", times=None, skip=1))
    with pytest.raises(Bitrix24Error):
        load(shelf, parallel=1).execute(run_of(store=store))
    safe = len(shelf.taken)
    assert 50 < safe < 4000
    portal.faults.clear()
    assert load(shelf).execute(run_of(store=store))["rows"] == 4000
    assert shelf.taken == sorted(deals(portal)), "each row once, in order"


def test_without_a_state_store_and_when_cleared_it_begins_anew(portal, airflow, meanwhile):
    shelf = Shelf(die_at=3)
    with pytest.raises(Killed):
        load(shelf).execute(run_of())
    load(shelf).execute(run_of())
    assert shelf.taken == sorted(deals(portal))[:100] + sorted(deals(portal))

    store, shelf = Store(), Shelf(die_at=3)
    with pytest.raises(Killed):
        load(shelf, full_reload=True).execute(run_of("b", store=store))
    cleared = run_of("b", store=store)
    cleared["ti"].max_tries += 3
    load(shelf, full_reload=True).execute(cleared)
    assert len(shelf.taken) == 330


def test_what_was_stored_is_gone(portal, airflow, meanwhile, capsys):
    store, shelf = Store(), Shelf(die_at=3, lost="the file is not there")
    with pytest.raises(Killed):
        load(shelf).execute(run_of(store=store))
    load(shelf).execute(run_of(store=store))
    assert len(shelf.taken) == 330
    assert "The load begins anew, and not behind the key" in capsys.readouterr().out


def test_other_arguments_in_the_next_try(portal, airflow, meanwhile):
    store, shelf = Store(), Shelf(die_at=3)
    with pytest.raises(Killed):
        load(shelf).execute(run_of(store=store))
    load(shelf, params={**DEALS, "filter": {"stageId": "WON"}}).execute(run_of(store=store))
    assert set(shelf.taken[100:]) == {key for key, row in deals(portal).items() if row["stageId"] == "WON"}


@pytest.mark.parametrize("store", [None, Store()], ids=["3.2", "3.3"])
def test_the_slot_is_given_back_and_the_load_goes_on_behind_the_last_row(portal, airflow, meanwhile, store):
    began = moment(portal)
    portal.costs["crm.item.list"] = 200.0
    shelf = Shelf()
    _, kept = deferred(load(shelf, parallel=1), run_of(store=store))
    rows = len(shelf.taken)
    assert 50 < rows < 230
    _, kept = deferred(load(shelf, parallel=1), run_of(store=store), **kept)
    portal.costs.clear()
    meanwhile.ahead += 2 * HOUR
    result = load(shelf).resume(run_of(store=store), None, **kept)
    assert shelf.taken == sorted(deals(portal)), "each row once, in order"
    assert result["rows"] == 230
    assert dt.datetime.fromisoformat(result["mark"]) - began < dt.timedelta(minutes=1)


def test_an_hour_in_all_is_for_those_who_come_no_further(portal, airflow, meanwhile):
    shelf = Shelf()
    meanwhile.use_up("crm.item.list")
    _, kept = deferred(load(shelf), run_of())
    kept["since"] -= 3590
    with pytest.raises(Bitrix24Error, match="OPERATION_TIME_LIMIT"):
        load(shelf).resume(run_of(), None, **kept)
    meanwhile.ahead += HOUR

    portal.costs["crm.item.list"] = 200.0
    _, again = deferred(load(Shelf(), parallel=1), run_of(), **kept)
    assert again["since"] > kept["since"] + 3000


def test_mapped_tasks_have_marks_of_their_own(portal, airflow, meanwhile):
    with DAG("dag"):
        mapped = Loading.partial(task_id="load", shelf=Shelf()).expand(
            params=[{"entityTypeId": 2}, {"entityTypeId": 2, "filter": {"stageId": "WON"}}]
        )
    for number, params in enumerate([{"entityTypeId": 2}, {"entityTypeId": 2, "filter": {"stageId": "WON"}}]):
        context = run_of("first")
        context["ti"].map_index = number
        operator: Any = mapped.unmap({"rest_params": params})
        operator.execute(context)
    assert len(airflow.variables) == 2
    assert all(key.startswith(f"{KEY}:") for key in airflow.variables)
    # In the next run, they are numbered in another way.
    meanwhile.ahead += HOUR
    context = run_of("second")
    context["ti"].map_index = 0
    operator = mapped.unmap({"rest_params": {"entityTypeId": 2, "filter": {"stageId": "WON"}}})
    assert operator.execute(context)["since"] is not None


def test_the_name_of_a_mark_is_never_too_long(portal, airflow):
    context = run_of()
    context["ti"].dag_id, context["ti"].task_id = "d" * 200, "t" * 200
    loaded(context)
    (key,) = airflow.variables
    assert len(key) <= 250
    assert key.startswith("bitrix24_mark:ddd")


def test_the_keys_of_all_rows(portal, airflow):
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

    with Bitrix24Hook() as hook:
        keys = [key for page in load(params={**DEALS, "select": ["title"]}).keys(hook) for key in page]
    assert keys == sorted(deals(portal))
    with Bitrix24Hook() as hook, pytest.raises(ConfigurationError, match="can not be read alone"):
        next(load(method="voximplant.statistic.get", params={}).keys(hook))


def test_the_list_has_a_link(portal, airflow):
    operator = load()
    operator.execute(run_of())
    (link,) = operator.operator_extra_links
    key: Any = None
    assert link.get_link(operator, ti_key=key) == f"{portal.url}/crm/deal/list/"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "crm/item"}, "A REST method looks like"),
        ({"params": [1]}, "params is a list. Give a mapping of names to values."),
        ({"version": 1}, "version is 1. It is 2"),
        ({"incremental": "yes"}, "incremental is 'yes'"),
        ({"interval": "yes"}, "interval is 'yes'"),
        ({"overlap": 5}, "overlap is 5. Give a timedelta"),
        ({"overlap": dt.timedelta(-1)}, "Give a timedelta that is not negative."),
        ({"parallel": 0}, "parallel is 0. Give a number from 1 to 40."),
        ({"parallel": True}, "parallel is True"),
        ({"full_reload": "maybe"}, "full_reload is 'maybe'. It is True or False."),
        (
            {"method": "department.get", "params": {}, "incremental": True},
            "department.get: incremental is set. This list",
        ),
        ({"method": "department.get", "params": {}, "interval": True}, "department.get: interval is set."),
        (
            {"params": {**DEALS, "filter": {">=updatedTime": "2026-05-04"}}},
            "the filter has '>=updatedTime', and the loads",
        ),
        ({"method": "crm.item.delete"}, "method is 'crm.item.delete', which is no list that is known, and may write"),
        (
            {"method": "crm.item.update", "version": 3},
            "method is 'crm.item.update', which is no list that is known, and may write",
        ),
        ({"params": {}}, "entityTypeId is missing"),
        ({"params": {**DEALS, "start": 50}}, "start"),
        ({"method": "tasks.task.list", "version": 3, "params": {"pagination": {"page": 2}}}, "pagination"),
        ({"since": "2026-13-45"}, "since is '2026-13-45', which is no moment"),
        ({"since": "2026-05-04", "until": "2026-05-01"}, "nothing lies between them"),
        ({"since": "P1D", "until": "P2D"}, "nothing lies between them"),
    ],
    ids=range(21),
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        load(**arguments)
    assert words in str(caught.value)


def test_what_is_rendered_and_how_airflow_keeps_it(dag):
    arguments: dict[str, Any] = {"since": "{{ a }}", "full_reload": "{{ b }}", "params": {"entityTypeId": "{{ n }}"}}
    operator = LoadsList(task_id="load", method="{{ m }}", **arguments)
    written = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    assert DagSerialization.from_dict(written).task_dict["load"].task_type == "LoadsList"
    words: Any = {"a": "2026-05-04", "b": "true", "n": 2, "m": "crm.item.list"}
    operator.render_template_fields(words)
    assert (operator.since, operator.full_reload) == ("2026-05-04", "true")
    assert (operator.method, operator.rest_params) == ("crm.item.list", {"entityTypeId": "2"})
