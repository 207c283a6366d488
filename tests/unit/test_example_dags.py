"""The example DAGs are read without a connection, and run as they stand against the fake portal."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_b24.testing import FakePortal
from tests.early import Place

FOLDER = Path(__file__).parents[2] / "example_dags"
FILES = sorted(FOLDER.glob("*.py"))
CHAT = "chat2935"
DEALS = 230
GONE = 999_999
WAREHOUSE, LAKE = "warehouse.db", "lake"

# One process for all of them: most of the time goes into starting Airflow.
RUN = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk._shared.providers_discovery import HookInfo
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
ProvidersManagerTaskRuntime().hooks["sqlite3"] = HookInfo(
    "tests.databases.SqliteHook", "sqlite3_conn_id", "test", "SQLite", "sqlite3", False, []
)
bag = DagBag(sys.argv[1])
states = {dag_id: str(dag.test().state) for dag_id, dag in sorted(bag.dags.items())}
print(json.dumps(states))
"""


@pytest.fixture(scope="module")
def bag() -> DagBag:
    """The DAGs as the DAG processor reads them, where no connection is defined."""
    assert not [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]
    return DagBag(str(FOLDER))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_read_and_serialised(bag: DagBag, file: Path) -> None:
    assert bag.import_errors == {}
    dag = bag.dags[file.stem]
    again = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert sorted(again.task_ids) == sorted(dag.task_ids)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_documentation_can_quote_parts(file: Path) -> None:
    text = file.read_text()
    starts = re.findall(r"# \[START (howto_\w+)\]", text)
    assert starts
    assert starts == re.findall(r"# \[END (howto_\w+)\]", text)
    assert len(set(starts)) == len(starts)


def test_reading_loads_no_client_library() -> None:
    code = """
import runpy, sys
from airflow.sdk import DAG, task
before = set(sys.modules)
for name in sys.argv[1:]:
    runpy.run_path(name)
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    done = subprocess.run([sys.executable, "-c", code, *map(str, FILES)], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1].replace("'", '"'))
    assert "airflow_provider_b24" in loaded
    assert not {"requests", "urllib3", "httpx", "fastapi", "uvicorn"} & set(loaded)


def run_all(place: Place) -> tuple[dict[str, str], FakePortal, Path]:
    """The final state of each DAG's run, the portal on which they ran, one after the other, and the folder."""
    with FakePortal(seed_deals=DEALS) as portal:
        environment = {
            **place.environ,
            "AIRFLOW_HOME": str(place.folder),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(FOLDER),
            "AIRFLOW_CONN_BITRIX24_DEFAULT": json.dumps(portal.connection()),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite3", "host": str(place.folder / WAREHOUSE)}),
            "AIRFLOW_VAR_LAKE": f"file://{place.folder}/{LAKE}",
        }
        with closing(sqlite3.connect(place.folder / WAREHOUSE)) as warehouse, warehouse:
            warehouse.execute("CREATE TABLE scores (deal_id, probability, run_date)")
            # The last one is of a deal that is gone.
            scores = [(number, number % 101, "2026-01-01") for number in range(1, DEALS + 1)] + [
                (GONE, 7, "2026-01-01")
            ]
            warehouse.executemany("INSERT INTO scores VALUES (?, ?, ?)", scores)
        place.run(sys.executable, "-m", "airflow", "db", "migrate", env=environment)
        printed = place.run(sys.executable, "-c", RUN, FOLDER, env=environment)
    return json.loads(printed.splitlines()[-1]), portal, place.folder


runs = pytest.mark.early(of=run_all)


@runs
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_runs(early: tuple[dict[str, str], FakePortal, Path], file: Path) -> None:
    states, _, _ = early
    assert states[file.stem] == "success"


@runs
def test_files_are_there(early: tuple[dict[str, str], FakePortal, Path]) -> None:
    _, portal, _ = early
    terms, table, stages, sold = portal.messages("chat2939")
    assert (terms.text, [file["name"] for file in terms.files]) == ("The [b]terms[/b]", ["terms.txt"])
    assert table.params["ATTACH"]
    assert [file["name"] for file in stages.files] == ["stages.csv"]
    assert "Laptops" in sold.text
    assert [file["name"] for file in sold.files] == ["result.csv"]


@runs
def test_deals_are_in_the_table_and_in_the_file(early: tuple[dict[str, str], FakePortal, Path]) -> None:
    from pyarrow import parquet

    _, portal, folder = early
    # any_method has run before, and added one.
    titles = [row["title"] for row in portal.company.crm.tables[2].rows.values()]
    assert len(titles) == DEALS + 1
    with closing(sqlite3.connect(folder / WAREHOUSE)) as warehouse:
        assert [title for (title,) in warehouse.execute("SELECT title FROM deals ORDER BY id")] == titles
    for name in ("deals", "deal_ids"):
        (file,) = (folder / LAKE / name).iterdir()
        assert parquet.read_table(file).num_rows == DEALS + 1


@runs
def test_scores_are_in_the_portal_and_that_of_no_deal_is_in_the_file(
    early: tuple[dict[str, str], FakePortal, Path],
) -> None:
    _, portal, folder = early
    rows: list[dict[str, Any]] = list(portal.company.crm.tables[2].rows.values())
    assert [row["probability"] for row in rows[:DEALS]] == [number % 101 for number in range(1, DEALS + 1)]
    (file,) = (folder / LAKE / "rejects").iterdir()
    assert json.loads(file.read_text()) == {
        "number": DEALS + 1,
        "row": {"deal_id": GONE, "probability": 7},
        "code": "NOT_FOUND",
        "description": "Item is not found",
    }


@runs
def test_weekly_report_adds_up(early: tuple[dict[str, str], FakePortal, Path]) -> None:
    _, portal, _ = early
    rows: list[dict[str, Any]] = list(portal.company.crm.tables[2].rows.values())[:DEALS]
    numbers = Counter(row["stageId"] for row in rows)
    amounts: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        amounts[row["stageId"]] += row["opportunity"]
    # any_method has run before, and added a deal that is won.
    numbers["WON"] += 1
    amounts["WON"] += 125_000

    reports = [message.text for message in portal.messages(CHAT) if message.text.startswith("[B]Sales report")]
    assert len(reports) == 1
    by_stage = reports[0].split("[CODE]")[1]
    for stage, name in (("NEW", "New"), ("EXECUTING", "In progress"), ("WON", "Won"), ("LOSE", "Lost")):
        assert re.search(rf"^{name} +{numbers[stage]:,} +{amounts[stage]:,.0f}$", by_stage, re.MULTILINE), by_stage


@runs
def test_typing_goes_before_each_message_of_those_that_type(early: tuple[dict[str, str], FakePortal, Path]) -> None:
    _, portal, _ = early
    history = [(time, duration is not None) for time, _, duration in portal.chat(CHAT).history]
    order = "".join("t" if typing else "M" for _, typing in sorted(history))
    # any_method posts without, and living_message does twice; typing_beside_tasks, which can watch nothing in
    # dag.test(), signals once and posts; typing_in_task twice; weekly_report.
    assert re.fullmatch(r"M+t+Mt+Mt+Mt+M", order), order


@runs
def test_living_message_is_one_message_and_an_answer(early: tuple[dict[str, str], FakePortal, Path]) -> None:
    _, portal, _ = early
    (message,) = (one for one in portal.messages(CHAT) if "[b]living_message[/b]" in one.text)
    assert message.text.startswith("✅ [b]living_message[/b] is done in ")
    (answer,) = (call for call in portal.calls if call.params.get("REPLY_ID") == message.id)
    assert str(answer.params["MESSAGE"]).startswith("[b]Deals by stage[/b]\nNEW: ")
    # In dag.test() a DAG's callbacks can write no Variables: that the run is over is seen from its tasks.
    assert [call.method for call in portal.calls].count("im.message.update") <= 6


@runs
def test_message_thread_is_one(early: tuple[dict[str, str], FakePortal, Path]) -> None:
    _, portal, _ = early
    first, protocol, file = portal.messages("sg17")
    assert first.text.endswith("is [B]done[/B]")
    assert first.reactions == {"like": [1]}
    assert protocol.params["REPLY_ID"] == first.id
    assert "Protocol[/b]" in protocol.text
    (card,) = file.files
    assert portal.company.files[card["id"]].content.decode("utf-8-sig").startswith("# Protocol\n\n**All** rows")


@pytest.fixture(scope="module")
def weekly_report() -> dict[str, Any]:
    """The names in the module of the DAG."""
    import runpy

    return runpy.run_path(str(FOLDER / "weekly_report.py"))


def test_report_counts_in_the_currency_of_most_deals(weekly_report: dict[str, Any]) -> None:
    weeks = ["2025-01-06", "2025-01-13"]
    text = weekly_report["as_text"](
        weeks,
        Counter({("EUR", "WON"): 2, ("EUR", "OWN_STAGE"): 1, ("USD", "WON"): 2}),
        defaultdict(float, {("EUR", "WON"): 300.0, ("USD", "WON"): 999.0}),
        defaultdict(float, {("EUR", weeks[0]): 100.0, ("EUR", weeks[1]): 150.0, ("USD", weeks[1]): 999.0}),
    )
    assert "Won: [B]150 EUR[/B], +50.0% on the week before" in text
    assert re.search(r"^OWN_STAGE +1 +0$", text, re.MULTILINE)
    assert "999" not in text
    assert "2 deals are in other currencies" in text


def test_report_without_deals(weekly_report: dict[str, Any]) -> None:
    text = weekly_report["as_text"](["2025-01-06", "2025-01-13"], Counter(), defaultdict(float), defaultdict(float))
    assert text.endswith("No deal has moved since 2025-01-06.")


def test_weeks_begin_on_monday_in_the_zone_of_the_portal(weekly_report: dict[str, Any]) -> None:
    from datetime import datetime

    monday_of = weekly_report["monday_of"]
    assert monday_of(datetime.fromisoformat("2025-01-12T23:30:00+03:00")).isoformat() == "2025-01-06T00:00:00+03:00"
    assert monday_of(datetime.fromisoformat("2025-01-13T00:10:00+03:00")).isoformat() == "2025-01-13T00:00:00+03:00"


README = re.findall(r"```python\n(.*?)```", (FOLDER.parent / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", [number for number, block in enumerate(README) if "@dag" in block])
def test_readme_dags_are_read(tmp_path: Path, number: int) -> None:
    (tmp_path / "readme.py").write_text(README[number])
    bag = DagBag(str(tmp_path))
    assert bag.import_errors == {}
    assert len(bag.dags) == 1


def test_readme_tests_pass(tmp_path: Path) -> None:
    blocks = [block for block in README if "bitrix24_portal" in block]
    assert len(blocks) == 1
    (tmp_path / "test_readme.py").write_text(blocks[0])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
