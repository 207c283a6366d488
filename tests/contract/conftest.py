"""The script, carried out once; and the vendor's schemas, where they are given.

In CI nothing may be skipped, and nobody gives the schemas: there, the tests that need them are not collected.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.providers_discovery import HookInfo
from airflow.sdk.execution_time import task_runner
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from airflow_provider_b24.rest.clock import SystemClock
from airflow_provider_b24.testing import FakePortal, RecordedCall
from tests.contract import script
from tests.portal.alerts.contexts import Variables
from tests.unit.rest.clocks import FakeClock


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    left_out = (
        collection_path.name in {"test_schemas.py", "test_lists.py", "test_entities.py"}
        and os.environ.get("B24_NO_SKIPS") == "1"
    )
    return True if left_out and not config.getoption("b24_schemas") else None


@pytest.fixture(scope="session")
def sent() -> list[RecordedCall]:
    """The calls that came to the portal."""
    clock = FakeClock()
    hooks = ProvidersManagerTaskRuntime().hooks
    info = HookInfo(f"{script.__name__}.Sqlite", "sqlite3_conn_id", "test", "SQLite", "sqlite3", False, [])
    with FakePortal() as portal, pytest.MonkeyPatch.context() as patch:
        for name, value in script.connections(portal).items():
            patch.setenv(name, value)
        patch.setitem(hooks, "sqlite3", info)
        patch.setattr(task_runner, "SUPERVISOR_COMMS", Variables(), raising=False)
        for name in ("time", "monotonic", "sleep", "asleep"):
            # What waits for a lost answer does not wait here.
            patch.setattr(SystemClock, name, lambda _, *given, name=name: getattr(clock, name)(*given))
        for step in script.STEPS:
            step(portal)
        # What is patched ends here: other tests have the session's time and Airflow.
        return portal.calls


@pytest.fixture(scope="session")
def schemas(request: pytest.FixtureRequest) -> Mapping[str, Mapping[str, Any]]:
    """The vendor's description of each method, by its name."""
    folder = request.config.getoption("b24_schemas")
    if not folder:
        pytest.skip("the vendor's schemas are not given: --b24-schemas=DIR, _assets/simulator/spec/methods of its docs")
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.json"))}
    assert found, f"there are no schemas in {folder}"
    return found
