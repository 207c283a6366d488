"""docs/faults.md is what the clients do: every cell, over real sockets, by either client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.portal.faults.cases import CASES, Case, World
from tests.portal.faults.table import DOCUMENT, KINDS, document, meet, row, written
from tests.portal.rest.drivers import AsyncDriver, MakeDriver, SyncDriver

TEXT = DOCUMENT.read_text(encoding="utf-8")
ROWS = written(TEXT)

by_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


def test_the_document_is_as_it_is_written_anew() -> None:
    assert set(ROWS) == {(case.name, kind) for case in CASES for kind in KINDS}
    assert document(TEXT, ROWS) == TEXT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("driver", [SyncDriver, AsyncDriver], ids=lambda driver: driver.name)
@by_case
def test_every_cell(world: World, case: Case, driver: MakeDriver, kind: str) -> None:
    met = meet(world, case, kind, driver)
    assert row(kind, met) == ROWS[case.name, kind]
    for outcome in (met.stays, met.passes) if kind != "read" else ():
        # Whatever happens, nothing is done twice, and what an error says of the effect is true.
        if outcome.error is None:
            assert outcome.carried_out == 1
        else:
            assert outcome.carried_out <= outcome.error.effect_unknown
            assert outcome.error.advice


@by_case
def test_the_first_signal_of_an_operator_fares_as_what_reads(world: World, case: Case) -> None:
    assert row("first signal", meet(world, case, "first signal", SyncDriver)) == ROWS[case.name, "read"]
