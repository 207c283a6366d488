"""Counts on their way into Airflow's metrics."""

from __future__ import annotations

import datetime as dt
import logging

import pytest

from airflow_provider_b24.hooks.metrics import AirflowMeter


class Taken:
    """Stands for the backend that an administrator has chosen."""

    def __init__(self, broken: bool = False) -> None:
        self.lines: list[object] = []
        self._broken = broken

    def incr(self, stat: str, **more: object) -> None:
        if self._broken:
            raise OSError("no route to the backend at s3cr3t")
        self.lines.append((stat, more))

    def timing(self, stat: str, took: dt.timedelta, **more: object) -> None:
        self.lines.append((stat, took, more))


TAGS = {"portal": "acme.bitrix24.com", "method": "im.message.add", "outcome": "success"}


def meter(monkeypatch: pytest.MonkeyPatch, taken: Taken, *, named: bool) -> AirflowMeter:
    monkeypatch.setenv("AIRFLOW__METRICS__LEGACY_NAMES_ON", str(named))
    made = AirflowMeter()
    made._stats = taken
    return made


def test_counts_have_tags_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Taken()
    meter(monkeypatch, taken, named=True).incr("bitrix24.calls", tags=TAGS)
    assert taken.lines == [
        ("bitrix24.calls", {"tags": TAGS}),
        ("bitrix24.calls.acme__bitrix24__com.im__message__add.success", {}),
    ]


def test_names_are_left_out_where_airflow_leaves_them_out(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Taken()
    took = dt.timedelta(seconds=7)
    meter(monkeypatch, taken, named=False).timing("bitrix24.waits", took, tags=TAGS)
    assert taken.lines == [("bitrix24.waits", took, {"tags": TAGS})]


def test_metrics_never_stop_a_call(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    broken = meter(monkeypatch, Taken(broken=True), named=True)
    for _ in range(3):
        broken.incr("bitrix24.calls", tags=TAGS)
    assert [record.getMessage() for record in caplog.records] == [
        "Airflow's metrics do not take those of Bitrix24 (OSError); none are counted."
    ]
