"""Complete however it is killed: a task loads deals into PostgreSQL, and its process is killed again and again.

usage: python tools/crash.py [--kills 20] [--deals 20000] [--chunk 400] [--seed N] [--minutes 15]

On a real Airflow, with a portal and a PostgreSQL on this machine. The exit status is 0 only if the table equals the
portal in the end, row by row and column by column, and no try but the first began anew.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script, it knows its own folder only

from airflow_provider_b24.testing import FakePortal  # noqa: E402
from tests.airflow.client import Run  # noqa: E402
from tests.airflow.components import Airflow  # noqa: E402
from tests.crash import bounds, kills  # noqa: E402
from tests.loaded import differences, listed  # noqa: E402
from tests.postgres import Postgres, postgres  # noqa: E402
from tools.chaos import watch  # noqa: E402

DAG = ROOT / "tests" / "airflow" / "dags" / "load.py"


def judge(run: Run, portal: FakePortal, server: Postgres, home: Path) -> bool:
    """Print what came of it; whether all is well."""
    pages, requests = len(bounds(portal, 0)), len(portal.requests)
    wrong = differences(server.table("deals"), listed(portal))
    noted = home / "load_kills"
    killed = len(noted.read_text().split()) if noted.exists() else 0
    task = run.task("load")
    tries = run.tries("load")
    anew = [one.try_number for one in tries[1:] if "it goes on behind the key" not in run.log("load", one.try_number)]
    for line in wrong[:20]:
        print(f"WRONG: {line}")
    print(
        f"{task.state} after {len(tries)} tries in {tries[-1].end - tries[0].start:.0f} s; {killed} processes killed; "
        f"{len(wrong)} differences between table and portal"
    )
    print(
        f"{len(anew)} tries began anew besides the first, which may have been killed before its first piece; "
        f"{requests} requests in all, for {pages} pages: a killed try has read ahead"
    )
    return task.state == "success" and not wrong and len(anew) <= anew.count(2)


def play(count: int, deals: int, chunk: int, seed: int, minutes: float) -> bool:
    """Run it; whether all went well."""
    home = Path(tempfile.mkdtemp(prefix="b24-crash-"))
    good = False
    with FakePortal() as portal, postgres() as server:
        portal.add_deals(deals)
        print(f"{deals:,} deals in pieces of {chunk}, {count} kills, seed {seed}; Airflow starts …", flush=True)
        dags = home / "dags"
        dags.mkdir()
        shutil.copy(DAG, dags)
        airflow = Airflow(home, dags, {"loads": portal.connection(), "warehouse": server.connection()})
        airflow.environ |= {
            "PYTHONPATH": str(ROOT),
            "B24_LOAD_CHUNK": str(chunk),
            "B24_LEDGER_DIR": str(home / "ledger"),
        }
        try:
            airflow.start()
            begun = time.monotonic()
            run = airflow.client.trigger("load", kills=kills(count, seed))
            if watch(run, minutes * 60):
                good = judge(run, portal, server, home)
            else:
                print(f"not through after {time.monotonic() - begun:.0f} s: {run.state}")
                run.mark_run("failed")
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            airflow.stop()
    if good:
        shutil.rmtree(home, ignore_errors=True)
    else:
        print(f"Airflow's logs are in {home}")
    return good


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A task that loads deals into PostgreSQL is killed.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--deals", type=int, default=20_000)
    parser.add_argument("--chunk", type=int, default=400)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=15.0, help="give up after so many")
    arguments = parser.parse_args()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        given = (arguments.kills, arguments.deals, arguments.chunk, arguments.seed, arguments.minutes)
        return 0 if play(*given) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
