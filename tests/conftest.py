"""What every test run stands on: an Airflow of its own, and no test that quietly stays out.

``B24_NO_SKIPS=1`` turns a skipped test into a failed one (CI sets it).
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.early import Early, function_of

if TYPE_CHECKING:
    from tests.airflow.stage import Scene, Stage
    from tests.postgres import Postgres

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--b24-schemas",
        metavar="DIR",
        default=os.environ.get("B24_SCHEMAS", ""),
        help="the vendor's schemas, _assets/simulator/spec/methods of its documentation, to compare with",
    )


def pytest_report_header(config: pytest.Config) -> str:
    folder = config.getoption("b24_schemas")
    return f"vendor's schemas: {folder or 'not given (--b24-schemas=DIR); what is sent is not compared with them'}"


def pytest_collection_finish() -> None:
    # Airflow and the collected tests are a million objects that stay: nobody need look through them for garbage.
    gc.collect()
    gc.freeze()


EARLY = pytest.StashKey[Early]()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    early = session.config.stash[EARLY] = Early(Path(AIRFLOW_HOME) / "early")
    try:
        if not session.config.option.collectonly:
            early.begin(session.items)
        return (yield)
    finally:
        early.end()


@pytest.fixture
def early(request: pytest.FixtureRequest) -> Any:
    """What came of the function that the test is marked with; see tests/early.py."""
    return request.config.stash[EARLY].result(request.node)


# One Airflow serves all tests that need one; what looks at its traces comes last.
ANY_TIME, BESIDE_RESTARTS, RESTARTS, LIMITS, TRACES = range(2, 7)
ON_STAGE = {
    "test_triggerer.py": RESTARTS,
    "test_limits.py": LIMITS,
    "test_secrets.py": TRACES,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for something that was begun early comes late, and what needs an Airflow after all others."""

    def place(item: pytest.Item) -> int:
        fixtures = getattr(item, "fixturenames", ())
        if "stage" not in fixtures:
            return 1 if function_of(item) else 0
        return ON_STAGE.get(item.path.name, BESIDE_RESTARTS if "restarts" in fixtures else ANY_TIME)

    items.sort(key=place)


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The one Airflow, and its portals."""
    from tests.airflow.stage import Stage
    from tests.postgres import programs

    warehouse = request.getfixturevalue("postgres_server").connection() if programs() is not None else None
    with ExitStack() as stack:
        stage = Stage(tmp_path_factory.mktemp("airflow"), warehouse)
        stage.start(stack)
        yield stage


@pytest.fixture(scope="session")
def long_runs(stage: Stage) -> dict[str, Scene]:
    """Runs that take a while, and go on while other tests are at work."""
    return stage.play_long_runs()


@pytest.fixture(scope="session")
def restarts(
    request: pytest.FixtureRequest, stage: Stage, long_runs: dict[str, Scene]
) -> Iterator[Future[dict[str, Scene]] | None]:
    """The triggerer dies, and is stopped, while tests are at work that need none; only if that is to be tested."""
    if not any(item.path.name == "test_triggerer.py" for item in request.session.items):
        yield None
        return
    with ThreadPoolExecutor(1, "restarts") as pool:
        yield pool.submit(stage.play_restarts, long_runs)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The one PostgreSQL."""
    from tests.postgres import needed, postgres

    needed()
    with postgres() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def forget_secrets() -> None:
    """Airflow masks with one expression of all the secrets that a process has seen, and compiles it anew for each new
    one: after those of some thousand tests that takes half a second."""
    for name in ("airflow.sdk._shared.secrets_masker", "airflow._shared.secrets_masker"):
        if name in sys.modules:
            sys.modules[name]._secrets_masker().reset_masker()


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
