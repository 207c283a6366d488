"""A load into PostgreSQL that is killed again and again, in processes of their own; what came of it is printed as JSON.

The table has been loaded before: since then, rows of the portal were changed, and others are gone. The command line
names an empty folder.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_b24.testing import FakePortal
from tests.crash import bounds, kills
from tests.loaded import differences, listed
from tests.postgres import postgres

KILLS, SEED = 20, 5
DEALS, CHUNK, GONE = 6_000, 150, 300


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


def killed(folder: Path) -> Story:
    """Load, and kill it again and again."""
    story, state, log = Story(), folder / "state", folder / "log"
    with postgres() as server, FakePortal() as portal, log.open("w") as said:
        portal.add_deals(DEALS)
        environ = {
            "AIRFLOW_CONN_WAREHOUSE": json.dumps(server.connection()),
            "AIRFLOW_CONN_BITRIX24_DEFAULT": json.dumps(portal.connection()),
            "B24_LEDGER_DIR": str(folder / "ledger"),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.transfers.crashing", state, str(CHUNK)],
            env=os.environ | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        # Airflow has something to say before.
        assert "ready\n" in iter(process.stdout.readline, ""), log.read_text()

        def attempt(kill: Any) -> int:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{json.dumps(kill)}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        assert attempt(None) == 0, log.read_text()
        _age(portal)
        for kill in [*kills(KILLS, SEED), None]:
            before = len(portal.calls)
            kept: dict[str, str] = json.loads(state.read_text())
            story.noted += [json.loads(value).get("after") or 0 for value in kept.values()]
            story.ends.append(attempt(kill))
            story.asked.append(min(bounds(portal, before), default=story.noted[-1]))
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


def main() -> None:
    def stop(*_: object) -> None:
        raise SystemExit(1)

    signal.signal(signal.SIGTERM, stop)
    sys.stdout.write(f"\n{json.dumps(asdict(killed(Path(sys.argv[1]))))}\n")


if __name__ == "__main__":
    main()
