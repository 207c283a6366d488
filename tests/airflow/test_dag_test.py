"""``dag.test()``: what an author of DAGs runs at his desk, without scheduler and triggerer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.airflow.light import ALWAYS
from tests.airflow.stage import BOT, OWNER, Stage

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("long_runs")]

FILE = Path(__file__).parent / "alone" / "typing_alone.py"
NAMES = ("beside_alone", "keep_for_alone", "report_alone")


class Desk:
    """All DAGs of the file, run one after the other on a copy of the database, for it has a connection."""

    def __init__(self, stage: Stage, home: Path) -> None:
        self.portal = stage.portal
        self.dialogs = {name: self.portal.add_chat(name, members=(OWNER, BOT)) for name in NAMES}
        stage.airflow.copy_database(home / "airflow.db")
        environ = stage.airflow.environ | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__DAGS_FOLDER": str(FILE.parent)}
        done = subprocess.run(
            [sys.executable, str(FILE), json.dumps(self.dialogs)],
            env=environ, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        self.output = f"{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, self.output

    def signals(self, name: str) -> list[float]:
        return [signal.time for signal in self.portal.signals(self.dialogs[name])]


@pytest.fixture(scope="module")
def desk(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(stage, tmp_path_factory.mktemp("desk"))


@pytest.mark.parametrize("name", NAMES)
def test_it_succeeds(desk: Desk, name: str) -> None:
    assert f"RESULT {name} success" in desk.output


def test_beside_other_tasks_one_signal_is_sent(desk: Desk) -> None:
    assert len(desk.signals("beside_alone")) == 1
    assert "so none can be watched while it works" in desk.output


def test_keep_for_works(desk: Desk) -> None:
    signals = desk.signals("keep_for_alone")
    assert len(signals) == 2
    assert desk.portal.lit_share(desk.dialogs["keep_for_alone"], signals[0], signals[0] + 4) == ALWAYS


def test_a_report_works(desk: Desk) -> None:
    (message,) = desk.portal.messages(desk.dialogs["report_alone"])
    assert message.text == "Written alone"
    assert desk.signals("report_alone")


def test_no_secret_is_printed(desk: Desk) -> None:
    assert desk.portal.access.webhook_code not in desk.output
