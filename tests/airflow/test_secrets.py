"""After all runs: no secret in any log, in the database, or in what a task leaves behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_b24.testing import FakePortal
from tests.airflow.components import texts
from tests.airflow.stage import Scene, Stage
from tests.portal.rest.leaks import forms

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def talkative(stage: Stage) -> Scene:
    stage.tokens.expire_tokens()
    scene = stage.play("talkative")
    scene.run.wait()
    return scene


@pytest.fixture(scope="module")
def failed(stage: Stage) -> dict[str, Scene]:
    """Tasks that fail with all that an error of ours has; beside them others that leave something behind."""
    scenes = {"telltale": stage.play_telltale()}
    scenes |= {dag_id: stage.play(dag_id) for dag_id in ("unreachable", "any_method")}
    for scene in scenes.values():
        scene.run.wait()
    return scenes


def secrets_of(portal: FakePortal) -> set[str]:
    access = portal.access
    return {access.webhook_code, access.client_secret, portal.bot_token, *access._access, *access._refresh}


@pytest.fixture(scope="module")
def secrets(stage: Stage, failed: dict[str, Scene]) -> set[str]:
    """Every form of every secret there is."""
    portals = (stage.portal, stage.shaky, stage.trouble, stage.busy, stage.ruin, stage.tokens)
    found = {secret for portal in portals for secret in secrets_of(portal)} | {stage.dead_code}
    assert len(found) >= 2 * len(portals) + 4
    assert len(stage.telltale.secrets) >= 9
    return {form for secret in found | stage.telltale.secrets for form in forms(secret)}


def test_a_portal_that_is_not_there(failed: dict[str, Scene]) -> None:
    assert failed["unreachable"].run.state == "failed"
    assert "the connection was refused" in failed["unreachable"].run.log("dead")


def test_a_portal_that_repeats_what_it_was_told(stage: Stage, failed: dict[str, Scene]) -> None:
    run = failed["telltale"].run
    assert {task_id: run.task(task_id).state for task_id in ("caught", "failing", "typing")} == {
        "caught": "success",
        "failing": "failed",
        "typing": "success",
    }
    # It did, and so much was left of it.
    words = "TOLD (HTTP 400): *** ***"
    assert sum(words in line for line in run.xcom("caught")) == 2 * (len(stage.telltale.connections) - 1)
    assert run.log("caught").count(words) >= len(stage.telltale.connections) - 1
    assert words in run.log("failing")
    assert "could not be lit" in run.log("typing")


def test_no_secret_in_any_file(stage: Stage, secrets: set[str], failed: dict[str, Scene]) -> None:
    files = {path.relative_to(stage.airflow.home): text for path, text in texts(stage.airflow.home)}
    ledger = dict(texts(Path(stage.airflow.environ["B24_LEDGER_DIR"])))

    # The right ones were read.
    assert any("trigger" in path.name for path in files)
    assert ledger
    for dag_id in failed:
        assert any(f"dag_id={dag_id}" in str(path) for path in files)
    assert {f"{name}.log" for name in stage.airflow.components} | {"airflow.db"} <= {path.name for path in files}
    assert found_in(files | ledger, secrets) == []


def test_no_secret_in_the_database(stage: Stage, secrets: set[str], failed: dict[str, Scene]) -> None:
    with closing(sqlite3.connect(stage.airflow.home / "airflow.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: str(database.execute(f'SELECT * FROM "{name}"').fetchall()) for name in tables}

    # The right ones were read.
    assert "crm.item.get" in rows["rendered_task_instance_fields"]
    assert "stageId" in rows["xcom"]
    assert "TOLD" in rows["xcom"]
    assert "stored" in rows["connection"]
    assert "unreachable" in rows["log"]
    assert found_in(rows, secrets) == []


# Last, for Airflow masks what a task prints in the task's log only: its LocalExecutor repeats it in clear in the
# output of the scheduler, whatever secret it is.
def test_a_printed_secret_is_masked(stage: Stage, secrets: set[str], talkative: Scene) -> None:
    log = talkative.run.log("prints_the_code")
    assert "the code is ***" in log
    assert "/rest/1/***" in log
    assert "bot_token is ***" in talkative.run.log("prints_bot_token")
    renewed = talkative.run.log("prints_renewed_tokens")
    assert "the access token is ***" in renewed
    assert "the refresh token is ***" in renewed
    assert "the Variable is ***" in renewed
    assert "the code was ***" in talkative.run.log("fails_with_the_code")
    assert found_in(dict(texts(stage.airflow.home / "logs")), secrets) == []


def found_in(text_by_place: Mapping[Any, str], secrets: set[str]) -> list[tuple[str, int]]:
    """Where, and which by number: a failing test must not print what it looks for."""
    hits = set()
    for place, text in text_by_place.items():
        hits |= {(str(place), number) for number, secret in enumerate(sorted(secrets)) if secret in text}
    return sorted(hits)
