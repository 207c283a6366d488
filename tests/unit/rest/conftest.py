from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.unit.rest.processes import Start, starting

# A machine under load is slow now and then; that is no failure of what is tested. In CI the examples are always the
# same: what nobody has changed does not begin to fail there.
settings.register_profile("unhurried", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("unhurried")


@pytest.fixture
def child() -> Iterator[Start]:
    with starting() as start:
        yield start
