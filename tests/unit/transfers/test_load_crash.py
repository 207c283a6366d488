"""A load into PostgreSQL is killed at 20 random points: after its retries, the table equals the portal row by row.

The table has been loaded before: since then, rows of the portal were changed, and others are gone.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_b24.testing import FakePortal
from tests.crash import bounds, kills
from tests.early import Place
from tests.loaded import differences, listed
from tests.postgres import needed, postgres

KILLS, SEED = 20, 5
DEALS, CHUNK, GONE = 6_000, 150, 300
ROOT = Path(__file__).parents[3]


@dataclass
class Story:
    """What came of it.

    :ivar ends: how each try ended: by a signal, if negative.
    :ivar noted: behind which id each try was to go on.
    :ivar asked: the lowest id behind which each asked for deals.
    :ivar left: how many rows there are in the end.
    """

    ends: list[int] = field(default_factory=list)
    noted: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    left: int = 0
    wrong: list[str] = field(default_factory=list)


def killed(place: Place) -> Story:
    """Load, and kill it again and again."""
    needed()
    story, state = Story(), place.folder / "state"
    with postgres() as server, FakePortal() as portal:
        portal.add_deals(DEALS)
        environ = {
            "AIRFLOW_CONN_WAREHOUSE": json.dumps(server.connection()),
            "AIRFLOW_CONN_BITRIX24_DEFAULT": json.dumps(portal.connection()),
            "B24_LEDGER_DIR": str(place.folder / "ledger"),
            "PYTHONPATH": os.fspath(ROOT),
        }
        with (place.folder / "log").open("w") as log:
            process = place.start(
                *(sys.executable, "-m", "tests.unit.transfers.crashing", state, str(CHUNK)),
                cwd=ROOT,
                env=place.environ | environ,
                stdin=subprocess.PIPE,
                stderr=log,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            # Airflow has something to say before.
            assert "ready\n" in iter(process.stdout.readline, ""), (place.folder / "log").read_text()

            def attempt(kill: Any) -> int:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(f"{json.dumps(kill)}\n")
                process.stdin.flush()
                return int(process.stdout.readline())

            assert attempt(None) == 0, (place.folder / "log").read_text()
            _age(portal)
            for kill in [*kills(KILLS, SEED), None]:
                before = len(portal.calls)
                kept: dict[str, str] = json.loads(state.read_text()) if state.exists() else {}
                story.noted += [json.loads(value).get("after") or 0 for value in kept.values()]
                story.ends.append(attempt(kill))
                found = bounds(portal, before)
                story.asked.append(min(found, default=story.noted[-1]))
            process.stdin.close()
            process.wait()
        table = server.table("deals")
        story.wrong = differences(table, listed(portal))
        story.left = len(table)
    return story


def _age(portal: FakePortal) -> None:
    source = random.Random(SEED)
    gone, changed = (source.sample(range(1, DEALS + 1), GONE) for _ in range(2))
    with portal.company.lock:
        crm = portal.company.crm
        for number in gone:
            crm.tables[2].rows.remove(number)
        for number in set(changed) - set(gone):
            crm.update(2, crm.tables[2].rows[number], {"title": f"New {number}", "opportunity": number / 100}, 1)


pytestmark = pytest.mark.early(of=killed)


@pytest.fixture
def story(early: Any) -> Story:
    return early


def test_the_table_equals_the_portal_row_by_row(story: Story) -> None:
    assert story.wrong == []
    assert story.left == DEALS - GONE


def test_every_try_but_the_last_was_killed(story: Story) -> None:
    assert story.ends == [-9] * KILLS + [0]


def test_tries_went_on_where_the_one_before_was_killed(story: Story) -> None:
    assert story.asked == story.noted
    assert story.noted == sorted(story.noted)
    assert len(set(story.noted)) > KILLS // 2
    assert story.noted[-1] > DEALS // 3
