from __future__ import annotations

import random

import pytest

from airflow_provider_b24.rest.pace import Pace
from airflow_provider_b24.rest.windows import Density


def answers(pace: Pace, count: int, *, seconds: float = 1.0, waited: float = 0.0, size: int = 10_000) -> None:
    for _ in range(count):
        pace.answered(pace.commands, seconds, waited, size)


def test_it_begins_with_all_that_is_allowed() -> None:
    pace = Pace(12)
    assert (pace.lanes, pace.commands) == (12, 50)
    answers(pace, 100)
    assert (pace.lanes, pace.commands) == (12, 50)


def test_what_is_lost_halves_both_once_for_what_went_out_together_and_they_come_back() -> None:
    pace = Pace(8)
    answers(pace, 8)
    pace.lost()
    assert (pace.lanes, pace.commands) == (4, 25)
    pace.lost()
    assert pace.lanes == 4, "the same sign"
    answers(pace, 200)
    assert (pace.lanes, pace.commands) == (8, 50)


def test_all_is_lost() -> None:
    pace = Pace(40)
    for _ in range(100):
        pace.lost()
    assert (pace.lanes, pace.commands) == (1, 1)


def test_a_portal_that_slows_down_is_asked_by_fewer_lanes() -> None:
    pace = Pace(40)
    answers(pace, 4, seconds=0.5)
    # It does one thing after the other: the time grows with the lanes.
    for _ in range(300):
        answers(pace, 1, seconds=0.5 * pace.lanes)
    assert 2 <= pace.lanes <= 8


def test_what_is_quick_in_any_case_is_not_slow() -> None:
    pace = Pace(10)
    answers(pace, 5, seconds=0.01)
    answers(pace, 50, seconds=0.9)
    assert pace.lanes == 10


def test_while_the_request_limit_binds_few_lanes_wait() -> None:
    pace = Pace(40)
    answers(pace, 1000, seconds=0.3, waited=2.0)
    assert pace.lanes == 2
    answers(pace, 1000, seconds=0.3)
    assert pace.lanes == 40


@pytest.mark.parametrize(
    ("seconds", "size", "least", "most"),
    [(45.0, 1000, 18, 23), (19.0, 1000, 50, 50), (1.0, 40_000_000, 8, 11), (50.0, 40_000_000, 8, 11)],
)
def test_a_request_is_kept_well_below_the_portals_time_and_of_a_bearable_size(
    seconds: float, size: int, least: int, most: int
) -> None:
    pace = Pace(1)
    for _ in range(50):
        share = pace.commands / 50
        pace.answered(pace.commands, seconds * share, 0.0, int(size * share))
    assert least <= pace.commands <= most


@pytest.mark.parametrize("share", [1.0, 0.999, 0.9, 0.5, 0.1, 0.001])
def test_a_window_holds_most_of_what_fits_and_seldom_more(share: float) -> None:
    source = random.Random(4)
    density = Density(2450 * 2, 2450 * 2 / share)
    ids, overlap = density.width(50), density.overlap(50)
    # So many of them are there by chance, in the normal approximation.
    rows = [source.gauss((ids + overlap) * share, (ids * share * (1 - share)) ** 0.5) for _ in range(2000)]
    assert sum(count > 2500.5 for count in rows) <= 2000 * 0.2
    assert ids * share >= 2350
    assert density.pages(ids, overlap) == 50
    assert overlap == (0 if share == 1 else -(-10 // share))


def test_what_was_seen_counts_more_the_nearer_it_is() -> None:
    density = Density(2500, 2500)
    assert density.with_next(2500, 2500, density).value == 1
    assert density.with_next(1800, 2500, density).value == pytest.approx((1800 + 1250) / (2500 + 1250))
    assert density.with_next(900, 2500, density).value == pytest.approx(0.36), "that is another land"
    assert density.with_next(3, 2500, density).value == pytest.approx(1 / 8), "not at once"
