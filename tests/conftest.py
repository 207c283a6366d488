"""What every test run stands on: an Airflow of its own, and no test that quietly stays out.

``B24_NO_SKIPS=1`` turns a skipped test into a failed one (CI sets it).
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Generator

import pytest

# Before anything imports airflow. The settings and connections of whoever runs the tests are set aside:
# a database named there would be written to.
AIRFLOW_HOME = tempfile.mkdtemp(prefix="b24-airflow-")
for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = AIRFLOW_HOME
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
# What other programs of this machine have called is no business of a test's portal, which has its own port.
os.environ["B24_LEDGER_DIR"] = os.path.join(AIRFLOW_HOME, "ledger")


def pytest_collection_finish() -> None:
    # Airflow and the collected tests are a million objects that stay: nobody need look through them for garbage.
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("B24_NO_SKIPS") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, which B24_NO_SKIPS forbids: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
