"""``dag.test()``: what an author of DAGs runs at his desk, without scheduler and triggerer."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_b24.testing import FakePortal
from tests.airflow.light import ALWAYS
from tests.airflow.stage import BOT, OWNER
from tests.early import Place

FILE = Path(__file__).parent / "alone" / "typing_alone.py"
NAMES = ("beside_alone", "keep_for_alone", "report_alone")


@dataclass(frozen=True)
class Desk:
    """All DAGs of the file, run one after the other.

    :ivar dialogs: of each DAG.
    :ivar output: of the process in which they ran.
    """

    portal: FakePortal
    dialogs: dict[str, str]
    output: str

    def signals(self, name: str) -> list[float]:
        return [signal.time for signal in self.portal.signals(self.dialogs[name])]


def sit_down(place: Place) -> Desk:
    """Run them with one connection in the environment and one in a database."""
    airflow = [sys.executable, "-m", "airflow"]
    with FakePortal() as portal:
        dialogs = {name: portal.add_chat(name, members=(OWNER, BOT)) for name in NAMES}
        environ = {
            **place.environ,
            "AIRFLOW_HOME": str(place.folder),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(FILE.parent),
            "AIRFLOW_CONN_BITRIX24_DEFAULT": json.dumps(portal.connection()),
        }
        place.run(*airflow, "db", "migrate", env=environ)
        stored = json.dumps(portal.bot_connection())
        place.run(*airflow, "connections", "add", "stored", "--conn-json", stored, env=environ)
        process = place.start(sys.executable, FILE, json.dumps(dialogs), env=environ)
        output, _ = process.communicate()
    assert process.returncode == 0, output
    return Desk(portal, dialogs, output)


pytestmark = [pytest.mark.airflow, pytest.mark.early(of=sit_down)]


@pytest.mark.parametrize("name", NAMES)
def test_it_succeeds(early: Desk, name: str) -> None:
    assert f"RESULT {name} success" in early.output


def test_beside_other_tasks_one_signal_is_sent(early: Desk) -> None:
    assert len(early.signals("beside_alone")) == 1
    assert "so none can be watched while it works" in early.output


def test_keep_for_works(early: Desk) -> None:
    signals = early.signals("keep_for_alone")
    assert len(signals) == 2
    assert early.portal.lit_share(early.dialogs["keep_for_alone"], signals[0], signals[0] + 4) == ALWAYS


def test_a_report_works(early: Desk) -> None:
    (message,) = early.portal.messages(early.dialogs["report_alone"])
    assert message.text == "Written alone"
    assert early.signals("report_alone")


def test_no_secret_is_printed(early: Desk) -> None:
    assert early.portal.access.webhook_code not in early.output
