"""Carrying out what a reader asks for, against a portal that is a function; and lists by offset that change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from airflow_provider_b24.rest.listing import reader_for
from airflow_provider_b24.rest.lists import ListMethod
from airflow_provider_b24.rest.protocol import Call, Reply


def read(
    method: str,
    params: Mapping[str, Any],
    serve: Callable[[Call], Reply],
    *,
    version: Literal[2, 3] = 2,
    most: int = 50,
    after: int | str | None = None,
) -> tuple[list[Any], list[Call]]:
    """Everything, and the calls it took."""
    reader = reader_for(method, params, version=version, after=after)
    rows: list[Any] = []
    calls: list[Call] = []
    while asked := reader.next_calls():
        calls += asked
        assert len(calls) <= most
        for reply in [serve(call) for call in asked]:
            rows += reader.feed(reply)
    return rows, calls


def given_params(call: Call) -> dict[str, Any]:
    assert isinstance(call.params, Mapping)
    return dict(call.params)


class Listing:
    """A list that is read by ``start``, with ``next`` and ``total``; it changes after calls, as told.

    :param changes: what happens after which call, counted from 1.
    """

    def __init__(
        self,
        ids: list[Any],
        *,
        wrapper: str = "",
        changes: Mapping[int, Callable[[list[Any]], object]] | None = None,
        key: str | None = "ID",
    ) -> None:
        self.ids, self.wrapper, self.changes, self.key = list(ids), wrapper, dict(changes or {}), key
        self.calls = 0

    def row(self, number: Any) -> Any:
        return number if self.key is None else {self.key: number}

    def __call__(self, call: Call) -> Reply:
        start = given_params(call).get("start", 0)
        assert start % 50 == 0
        rows = [self.row(number) for number in self.ids[start : start + 50]]
        total = len(self.ids)
        following = start + 50 if start + 50 < total else None
        self.calls += 1
        if self.calls in self.changes:
            self.changes[self.calls](self.ids)
        return Reply({self.wrapper: rows} if self.wrapper else rows, total, following)


def enough(listed: ListMethod) -> dict[str, Any]:
    """Parameters that a method lists something for."""
    params: dict[str, Any] = {}
    for name in listed.required:
        first, _, field = name.split("|")[0].partition(".")
        params[first] = {**params.get(first, {}), field: 1} if field else ["NAME"] if first.lower() == "select" else 1
    return params
