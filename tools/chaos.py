"""Nothing lost, nothing twice: tasks that post are killed and their portal misbehaves, on a real Airflow.

usage: python tools/chaos.py [--trials 330] [--seed N] [--minutes 30]

Counts in the portal's chat what arrived. The exit status is 0 only if nothing is there twice, and every message of a
task that ended well is there.
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
from tests.airflow.chaos import KINDS, Chaos, Verdict  # noqa: E402
from tests.airflow.client import ENDED, Run  # noqa: E402
from tests.airflow.components import Airflow  # noqa: E402

DAG = ROOT / "tests" / "airflow" / "dags" / "chaos.py"
# Each task is a process of some 200 MB, and most of them wait.
AT_ONCE = 16


def watch(run: Run, seconds: float) -> bool:
    """Say now and then how far it is; whether it has ended in time."""
    begun = told = time.monotonic()
    while run.state not in ENDED:
        if time.monotonic() - begun > seconds:
            return False
        time.sleep(2)
        if time.monotonic() - told > 30:
            told = time.monotonic()
            states = [task.state for task in run.tasks()]
            ended = sum(state in ENDED for state in states)
            print(f"  {told - begun:4.0f} s: {ended} of {len(states)} tasks have ended", flush=True)
    return True


def tell(verdict: Verdict, minutes: float) -> None:
    """Print the summary."""
    for title, names in (
        ("LOST", verdict.lost),
        ("TWICE", verdict.twice),
        ("WRONG ID", verdict.wrong),
        ("UNKNOWN", verdict.unknown),
        ("FAILED", verdict.failed),
    ):
        for name in names:
            print(f"{title}: {name}")
    print(
        f"{verdict.trials} trials with {verdict.messages} messages in {minutes:.1f} min "
        f"({verdict.trials / minutes:.0f} a minute): {verdict.tries} tries, {verdict.kills} processes killed, "
        f"{verdict.faults} faults"
    )
    print(
        f"lost {len(verdict.lost)}, twice {len(verdict.twice)}, wrong ids {len(verdict.wrong)}, "
        f"failed rather than guessed {len(verdict.unknown)}, failed otherwise {len(verdict.failed)}"
    )


def play(trials: int, seed: int, minutes: float) -> bool:
    """Run the trials; whether all went well."""
    home = Path(tempfile.mkdtemp(prefix="b24-chaos-"))
    good = False
    with FakePortal() as portal:
        chaos = Chaos(portal, trials, seed)
        print(f"{trials} trials of {len(KINDS)} kinds, seed {seed}; Airflow starts …", flush=True)
        dags = home / "dags"
        dags.mkdir()
        shutil.copy(DAG, dags)
        airflow = Airflow(home, dags, chaos.connections())
        airflow.environ |= {
            **chaos.environ(),
            "AIRFLOW__CORE__PARALLELISM": str(AT_ONCE),
            "B24_LEDGER_DIR": str(home / "ledger"),
        }
        try:
            airflow.start()
            begun = time.monotonic()
            run = airflow.client.trigger("chaos")
            if watch(run, minutes * 60):
                verdict = chaos.judge(run, home / "kills")
                tell(verdict, (time.monotonic() - begun) / 60)
                good = verdict.good
            else:
                print(f"not through after {minutes:g} minutes: {run.state}")
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
    parser = argparse.ArgumentParser(description="Tasks that post are killed, and their portal misbehaves.")
    parser.add_argument("--trials", type=int, default=15 * len(KINDS))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=30.0, help="give up after so many")
    arguments = parser.parse_args()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        return 0 if play(arguments.trials, arguments.seed, arguments.minutes) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
