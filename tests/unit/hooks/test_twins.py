"""The two halves of the hook take the same parameters."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

TWINS = sorted(
    name
    for name, method in inspect.getmembers(Bitrix24Hook, inspect.isfunction)
    if name.startswith("a") and callable(getattr(Bitrix24Hook, name[1:], None))
)


def parameters(name: str) -> list[tuple[str, object, object]]:
    found = inspect.signature(getattr(Bitrix24Hook, name)).parameters.values()
    return [(one.name, one.default, one.kind) for one in found]


@pytest.mark.parametrize("name", TWINS)
def test_both_halves_take_the_same(name: str) -> None:
    assert parameters(name) == parameters(name[1:])


@pytest.mark.parametrize("name", ["notify", "send_file", "send_message", "send_table", "update_message"])
def test_what_there_is_not_is_said_of_the_method_that_was_called(name: str) -> None:
    assert f"a{name}" in TWINS
    hook = Bitrix24Hook()
    words = rf"\ba?{name}\(\) got an unexpected keyword argument 'mesage'"
    with pytest.raises(TypeError, match=words):
        getattr(hook, name)("chat2935", "x", mesage="y")
    with pytest.raises(TypeError, match=rf"\ba{name}\(\) got an unexpected keyword argument 'mesage'"):
        asyncio.run(getattr(hook, f"a{name}")("chat2935", "x", mesage="y"))


def test_what_is_missing_is_said_of_it_too() -> None:
    with pytest.raises(TypeError, match=r"^asend_table\(\) missing a required argument: 'rows'"):
        asyncio.run(Bitrix24Hook().asend_table("chat2935"))  # type: ignore[call-arg]
