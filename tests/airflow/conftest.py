"""One Airflow for all tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.airflow.stage import Scene, Stage, shared_stage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Airflow starts when all other tests are through; what looks at its traces comes last."""

    def place(item: pytest.Item) -> int:
        if "stage" not in getattr(item, "fixturenames", ()):
            return 0
        return 2 if item.path.name == "test_secrets.py" else 1

    items.sort(key=place)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with shared_stage(tmp_path_factory) as stage:
        yield stage


@pytest.fixture(scope="session")
def long_runs(stage: Stage) -> dict[str, Scene]:
    """Runs that take a while, and go on while other tests are at work."""
    return stage.play_long_runs()
