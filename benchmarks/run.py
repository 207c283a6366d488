"""All benchmarks, one line each: the ratio, what it is of, and the figures behind it.

usage: python benchmarks/run.py [--long] [--crowd]

With ``--long``, those too that take minutes because limits are waited for in real time; with ``--crowd``, only that of
a thousand dialogs, which takes 20 minutes.

The exit status is 1 if a budget is missed. One alone: ``python -m benchmarks.call_sync`` in the root of the
repository.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script, it knows its own folder only


def main() -> int:
    """Run them."""
    with tempfile.TemporaryDirectory() as home:
        for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
            del os.environ[name]
        os.environ["AIRFLOW_HOME"] = home
        os.environ["B24_LEDGER_DIR"] = os.path.join(home, "ledger")
        os.environ["NO_PROXY"] = "127.0.0.1"
        from benchmarks import call_async, call_sync, calls, crowd, draw, import_cost, limit, load, typed, upload, write

        logging.disable(logging.INFO)
        good = True
        measurements = [one.main for one in (import_cost, call_sync, call_async, calls, draw, typed, upload, load)]
        if "--long" in sys.argv:
            measurements += [limit.main, load.long, write.main, write.long]
        if "--crowd" in sys.argv:
            measurements = [crowd.main]
        for measure in measurements:
            for result in measure():
                print(result, flush=True)
                good &= result.good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
