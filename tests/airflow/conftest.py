"""One Airflow for all tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.airflow.stage import Scene, Stage, shared_stage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Airflow starts when all other tests are through; what looks at its traces comes last, after what takes long."""

    def place(item: pytest.Item) -> int:
        if "stage" not in getattr(item, "fixturenames", ()):
            return 0
        return {"test_limits.py": 2, "test_secrets.py": 3}.get(item.path.name, 1)

    items.sort(key=place)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with shared_stage(tmp_path_factory) as stage:
        yield stage


@pytest.fixture(scope="session")
def long_runs(stage: Stage) -> dict[str, Scene]:
    """Runs that take a while, and go on while other tests are at work."""
    return stage.play_long_runs()
