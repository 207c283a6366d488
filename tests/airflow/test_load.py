"""Loads into PostgreSQL on a real Airflow: a short form of what tools/crash.py does, and the run after it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.airflow.client import Run
from tests.airflow.stage import LOADED, Stage
from tests.crash import STEPS_OF_A_PIECE, bounds
from tests.loaded import differences, listed
from tests.postgres import Postgres
from tests.unit.operators.loads import change

pytestmark = pytest.mark.airflow

# When the second piece is stored and not committed; when the fourth one is committed and that is not noted.
KILLS = [{"step": STEPS_OF_A_PIECE + 2, "delay": 0.0}, {"step": 2 * STEPS_OF_A_PIECE + 3, "delay": 0.0}]


@pytest.fixture(scope="module")
def run(postgres_server: Postgres, stage: Stage) -> Run:
    run = stage.play("load", portal=stage.loads, kills=KILLS).run
    assert run.wait() == "success"
    return run


def test_a_killed_load_goes_on_and_the_table_equals_the_portal(
    postgres_server: Postgres, stage: Stage, run: Run
) -> None:
    assert (stage.airflow.home / "load_kills").read_text().split() == ["1", "2"]
    assert run.task("load").try_number == 3
    assert differences(postgres_server.table("deals"), listed(stage.loads)) == []
    result = run.xcom("load")
    assert (result["rows"], result["gone"], result["since"]) == (LOADED, 0, None)


def test_a_later_try_asks_for_nothing_that_was_noted(stage: Stage, run: Run) -> None:
    # One piece was noted by the first try, and two more by the second one.
    for number, behind in ((2, 150), (3, 450)):
        assert f"it goes on behind the key {behind}, where an earlier try has stopped" in run.log("load", number)


def test_the_next_run_reads_what_was_changed(postgres_server: Postgres, stage: Stage, run: Run) -> None:
    portal = stage.loads
    change(portal, 7, title="Changed")
    before = len(portal.calls)
    after: Any = stage.play("load", portal=portal).run
    assert after.wait() == "success", after.log("load")
    assert differences(postgres_server.table("deals"), listed(portal)) == []
    result = after.xcom("load")
    # Deals that came with the portal may have been changed within the overlap.
    assert result["rows"] < LOADED / 4
    assert result["changed"] == 1
    mark = json.loads(stage.airflow.client.get("variables/bitrix24_mark:load:load")["value"])
    assert mark["mark"] == result["mark"] > run.xcom("load")["mark"]
    assert len(bounds(portal, before)) > 0
