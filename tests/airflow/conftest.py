"""One Airflow for all tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.airflow.stage import Scene, Stage, shared_stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with shared_stage(tmp_path_factory) as stage:
        yield stage


@pytest.fixture(scope="session")
def long_runs(stage: Stage) -> dict[str, Scene]:
    """Runs that take a while, and go on while other tests are at work."""
    return stage.play_long_runs()
