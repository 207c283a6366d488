"""A load into PostgreSQL is killed at 20 random points: after its retries, the table equals the portal row by row."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.early import Place
from tests.postgres import needed
from tests.unit.transfers.crash_story import DEALS, GONE, KILLS, Story

ROOT = Path(__file__).parents[3]


def killed(place: Place) -> Story:
    """Load, and kill it again and again."""
    needed()
    environ = place.environ | {"PYTHONPATH": os.fspath(ROOT)}
    printed = place.run(sys.executable, "-m", "tests.unit.transfers.crash_story", place.folder, cwd=ROOT, env=environ)
    return Story(**json.loads(printed.splitlines()[-1]))


pytestmark = pytest.mark.early(of=killed)


@pytest.fixture
def story(early: Any) -> Story:
    return early


def test_the_table_equals_the_portal_row_by_row(story: Story) -> None:
    assert story.wrong == []
    assert story.left == DEALS - GONE


def test_every_try_but_the_last_was_killed(story: Story) -> None:
    assert story.ends == [-9] * KILLS + [0]


def test_tries_went_on_where_the_one_before_was_killed(story: Story) -> None:
    assert story.asked == story.noted
    assert story.noted == sorted(story.noted)
    assert len(set(story.noted)) > KILLS // 2
    assert story.noted[-1] > DEALS // 3
