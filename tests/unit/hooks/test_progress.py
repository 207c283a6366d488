"""What is told of a long reading: in the log of a task, or as a bar to one who waits."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest

from airflow_provider_b24.hooks.progress import Progress, aprogress, progress
from tests.unit.rest.clocks import FakeClock

LOG = logging.getLogger("progress")
RUNNER = "airflow.sdk.execution_time.task_runner"


@pytest.fixture
def clock():
    return FakeClock()


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "progress"]


def pages(clock, number, *, seconds, rows=1000):
    for _ in range(number):
        clock.sleep(seconds)
        yield [0] * rows


def read(clock, caplog, number, *, seconds, share=None):
    caplog.set_level("INFO", "progress")
    told = Progress("Reading", LOG, share=share, clock=clock)
    return list(progress(pages(clock, number, seconds=seconds), told, len))


def test_nothing_is_told_of_a_short_reading(clock, caplog):
    assert len(read(clock, caplog, 9, seconds=1.0)) == 9
    assert lines(caplog) == []


def test_the_rate_is_bearable_and_the_end_is_told(clock, caplog):
    read(clock, caplog, 600, seconds=1.0)
    said = lines(caplog)
    # After 10 s, then after 30, 60, 120, 120, 120 and 120 more.
    assert [line.split(" rows")[0].split()[-1] for line in said] == [
        "10,000", "40,000", "100,000", "220,000", "340,000", "460,000", "580,000", "600,000",
    ]  # fmt: skip
    assert said[0] == "Reading: 10,000 rows, 1,000 a second"
    assert said[-1] == "Reading: all 600,000 rows in 10 min, 1,000 a second"


def test_share_and_time_left_are_told_where_they_are_known(clock, caplog):
    shares = iter([0.25, None, 1.0, 0.5])
    read(clock, caplog, 250, seconds=1.0, share=lambda: next(shares))
    assert lines(caplog)[:4] == [
        "Reading: 10,000 rows, 1,000 a second, 25 %, about 30 s left",
        "Reading: 40,000 rows, 1,000 a second",
        "Reading: 100,000 rows, 1,000 a second",
        "Reading: 220,000 rows, 1,000 a second, 50 %, about 3 min 40 s left",
    ]


def test_a_slow_one_has_a_decimal(clock, caplog):
    caplog.set_level("INFO", "progress")
    list(progress(pages(clock, 3, seconds=8.0, rows=1), Progress("Writing", LOG, clock=clock)))
    assert lines(caplog) == ["Writing: 2 rows, 0.1 a second", "Writing: all 3 rows in 24 s, 0.1 a second"]


def test_what_does_not_end_well_is_told_to_have_stopped(clock, caplog):
    caplog.set_level("INFO", "progress")

    def broken():
        yield from pages(clock, 12, seconds=1.0)
        raise LookupError

    with pytest.raises(LookupError):
        list(progress(broken(), Progress("Reading", LOG, clock=clock), len))
    assert lines(caplog)[-1] == "Reading: stopped after 12,000 rows in 12 s, 1,000 a second"


def test_asynchronously_it_is_the_same(clock, caplog):
    caplog.set_level("INFO", "progress")

    async def source():
        for page in pages(clock, 12, seconds=1.0):
            yield page

    async def work():
        return [page async for page in aprogress(source(), Progress("Reading", LOG, clock=clock), len)]

    assert len(asyncio.run(work())) == 12
    assert [line.split(",")[0] for line in lines(caplog)] == ["Reading: 10", "Reading: all 12"]


class Terminal(io.StringIO):
    """Somebody waits before it."""

    def __init__(self, monkeypatch):
        super().__init__()
        monkeypatch.setattr(sys, "stderr", self)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "160")
        monkeypatch.setitem(sys.modules, RUNNER, ModuleType(RUNNER))

    def isatty(self):
        return True


def test_by_hand_there_is_a_bar(clock, caplog, monkeypatch, capsys):
    terminal = Terminal(monkeypatch)
    caplog.set_level("INFO", "progress")
    told = Progress("Reading", LOG, share=lambda: 0.25, clock=clock)
    for _ in progress(pages(clock, 30, seconds=1.0), told, len):
        sys.stdout.write("row\n")
    assert lines(caplog) == ["Reading: all 30,000 rows in 30 s, 1,000 a second"]
    assert "30,000 rows, 1,000 a second, 25 %, about 1 min 30 s left" in terminal.getvalue()
    # What a script prints may go into a file.
    assert capsys.readouterr().out == "row\n" * 30


def test_one_bar_at_a_time(clock, caplog, monkeypatch):
    Terminal(monkeypatch)
    first = progress(pages(clock, 20, seconds=1.0), Progress("First", LOG, clock=clock), len)
    next(first)
    assert len(read(clock, caplog, 20, seconds=1.0)) == 20
    first.close()
    assert [line.split(" ")[:2] for line in lines(caplog)] == [
        ["Reading:", "10,000"],
        ["Reading:", "all"],
        ["First:", "stopped"],
    ]


@pytest.mark.parametrize("missing", ["rich", "terminal", "hand"])
def test_otherwise_there_are_lines(clock, caplog, monkeypatch, missing):
    terminal = Terminal(monkeypatch)
    if missing == "rich":
        monkeypatch.setitem(sys.modules, "rich.progress", None)
    elif missing == "terminal":
        monkeypatch.setattr(terminal, "isatty", lambda: False)
    else:
        monkeypatch.setitem(sys.modules, RUNNER, SimpleNamespace(SUPERVISOR_COMMS=object()))
    read(clock, caplog, 12, seconds=1.0)
    assert lines(caplog)[0] == "Reading: 10,000 rows, 1,000 a second"
    assert terminal.getvalue() == ""
