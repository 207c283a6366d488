from __future__ import annotations

import base64
import datetime as dt
import enum
import io
import json
from collections import UserDict, UserList, deque
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24 import __version__
from airflow_provider_b24.rest import content
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.content import Body, Content
from airflow_provider_b24.rest.credentials import OAuthApp, Tokens, Webhook
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError
from airflow_provider_b24.rest.protocol import Call, Priority, Request, as_json, encode, encode_renewal
from tests.portal.rest.leaks import found, leaks

PORTAL = Address("https", "acme.bitrix24.com")
HOOK = Webhook(PORTAL, "7", "s3cr3tc0de")
TOKENS = Tokens("acc3ss token", "r3fr3sh")


class Colour(str, enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


def read(request: Request) -> Any:
    assert isinstance(request.body, bytes)
    return json.loads(request.body)


@pytest.mark.parametrize(
    ("version", "proof", "url"),
    [
        (2, HOOK, "https://acme.bitrix24.com/rest/7/s3cr3tc0de/tasks.task.get"),
        (3, HOOK, "https://acme.bitrix24.com/rest/api/7/s3cr3tc0de/tasks.task.get"),
        (2, TOKENS, "https://acme.bitrix24.com/rest/tasks.task.get"),
        (3, TOKENS, "https://acme.bitrix24.com/rest/api/tasks.task.get"),
    ],
)
def test_where_a_call_goes(version: Any, proof: Any, url: str) -> None:
    request = encode(Call("tasks.task.get", {"id": 5}, version=version), PORTAL, proof)
    assert (request.verb, request.url) == ("POST", url)
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"] == f"airflow-provider-b24/{__version__}"
    auth = {"auth": "acc3ss token"} if proof is TOKENS else {}
    assert read(request) == {"id": 5, **auth}


def test_another_address_than_the_credential_names() -> None:
    moved = Address("https", "new.bitrix24.com", 8443)
    assert encode(Call("profile"), moved, HOOK).url == "https://new.bitrix24.com:8443/rest/7/s3cr3tc0de/profile"


def test_positional_parameters() -> None:
    call = Call("task.commentitem.add", [13, {"POST_MESSAGE": "да"}])
    assert encode(call, PORTAL, HOOK).body == '[13,{"POST_MESSAGE":"да"}]'.encode()
    with_token = read(encode(call, PORTAL, TOKENS))
    assert with_token == {"0": 13, "1": {"POST_MESSAGE": "да"}, "auth": "acc3ss token"}


def test_a_positional_v3_call_has_no_place_for_a_token() -> None:
    call = Call("batch", [{"method": "tasks.task.get"}], version=3)
    assert read(encode(call, PORTAL, HOOK)) == [{"method": "tasks.task.get"}]
    with pytest.raises(ConfigurationError, match="webhook"):
        encode(call, PORTAL, TOKENS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("“Ж” \n", '"“Ж” \\n"'),
        (dt.date(2026, 8, 21), '"2026-08-21"'),
        (dt.datetime(2026, 8, 21, 9, 5, tzinfo=dt.timezone.utc), '"2026-08-21T09:05:00+00:00"'),
        (dt.time(9, 5), '"09:05:00"'),
        (Decimal("10.10"), '"10.10"'),
        (Colour.RED, '"red"'),
        (Number.ONE, "1"),
        (Priority.WORK, '"work"'),
        ((1, 2), "[1,2]"),
        ({2, 1}, "[1,2]"),
        (frozenset("b"), '["b"]'),
        (deque([1]), "[1]"),
        (range(2), "[0,1]"),
        (UserList([1]), "[1]"),
        (UserDict(a=1), '{"a":1}'),
        (MappingProxyType({"a": Decimal(1)}), '{"a":"1"}'),
        ([], "[]"),
        ({}, "{}"),
    ],
)
def test_how_values_are_written(value: Any, text: str) -> None:
    assert encode(Call("m", {"v": value}), PORTAL, HOOK).body == f'{{"v":{text}}}'.encode()


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


def _deep(levels: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(levels):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    "value",
    [b"x", object(), float("nan"), float("inf"), Decimal("NaN"), Decimal("Infinity"), _endless(), _deep(200_000),
     {(1, 2): 3}, "\ud800", {"\udfff": 1}, 1j, bytearray(b"x")],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize("proof", [HOOK, TOKENS], ids=["webhook", "tokens"])
def test_values_that_json_does_not_know(value: Any, proof: Any) -> None:
    with pytest.raises(ConfigurationError, match="params can not be written as JSON") as caught:
        encode(Call("m", {"v": value, "botToken": "b0tt0ken"}), PORTAL, proof)
    assert caught.value.method == "m"
    assert leaks(caught.value, ["s3cr3tc0de", *TOKENS.secrets, "b0tt0ken"]) == []


@pytest.mark.parametrize("params", ["a=1", b"{}", 7, None, {1}, iter(())])
def test_parameters_that_are_none(params: Any) -> None:
    with pytest.raises(ConfigurationError, match="params of m"):
        Call("m", params)


@pytest.mark.parametrize("version", [1, 4, "2", None])
def test_no_version(version: Any) -> None:
    with pytest.raises(ConfigurationError, match="version"):
        Call("m", version=version)


def test_reprs_without_secrets_or_parameters() -> None:
    call = Call("m", {"botToken": "b0tt0ken"})
    shown = repr([call, encode(call, PORTAL, HOOK), encode(call, PORTAL, TOKENS)])
    assert found(shown, ["b0tt0ken", "s3cr3tc0de", *TOKENS.secrets]) == []


def test_a_renewal() -> None:
    app = OAuthApp(PORTAL, "local.app", "s3cr3t & more", "https://oauth.example/oauth/token/")
    request = encode_renewal(app, Tokens("a", "r+f/sh="))
    assert (request.verb, request.body) == ("GET", None)
    assert request.url.startswith("https://oauth.example/oauth/token/?")
    assert parse_qs(urlsplit(request.url).query) == {
        "grant_type": ["refresh_token"],
        "client_id": ["local.app"],
        "client_secret": ["s3cr3t & more"],
        "refresh_token": ["r+f/sh="],
    }
    assert found(repr(request), ["s3cr3t & more", "r+f/sh="]) == []


def test_a_renewal_with_a_broken_token_is_for_the_server_to_refuse() -> None:
    assert encode_renewal(OAuthApp(PORTAL, "a", "b"), Tokens("a", "\ud800")).url.endswith("refresh_token=%3F")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), _values, max_size=5) | st.lists(_values, max_size=5))
def test_what_json_knows_arrives_as_it_was(params: Any) -> None:
    try:
        request = encode(Call("m", params), PORTAL, HOOK)
    except Bitrix24Error:
        assert "\\ud" in json.dumps(params)
    else:
        assert read(request) == params


class Drops(io.BytesIO):
    """A stream that gives a few bytes at a time."""

    def read(self, count: int | None = -1, /) -> bytes:
        return super().read(min(count or 0, 5))


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=3), st.text(), st.sampled_from([2, 3, 9]))
def test_files_arrive_as_base64(files: list[bytes], text: str, piece: int) -> None:
    text = text.encode(errors="replace").decode()
    parts = [Content("name", len(file), partial(Drops, file)) for file in files]
    with mock.patch.object(content, "_PIECE", 3 * piece):
        request = encode(Call("m", {"text": text, "files": parts}), PORTAL, TOKENS)
        assert isinstance(request.body, Body)
        assert request.cut_short
        sent = b"".join(request.body)
    assert not request.cut_short
    assert len(request.body) == len(sent)
    encoded = [base64.b64encode(file).decode() for file in files]
    assert json.loads(sent) == {"text": text, "files": encoded, "auth": "acc3ss token"}


def test_what_else_is_wrong_beside_a_file() -> None:
    file = Content("name", 1, io.BytesIO)
    with pytest.raises(ConfigurationError, match="params can not be written as JSON: a value of type object"):
        encode(Call("m", {"file": file, "x": object()}), PORTAL, HOOK)
    with pytest.raises(ConfigurationError, match="half of a surrogate pair"):
        encode(Call("m", {"file": file, "x": "\ud800"}), PORTAL, HOOK)
    with pytest.raises(ConfigurationError, match="params can not be written as JSON: a file"):
        as_json({"file": file})


def test_a_file_shows_nothing_of_itself() -> None:
    file = Content("name", 6, partial(io.BytesIO, b"s3cr3t"))
    request = encode(Call("m", {"file": file}), PORTAL, HOOK)
    assert "s3cr3t" not in repr(file) + repr(request) + repr(request.body)
    assert request.sending == pytest.approx(30, abs=0.1)
    assert encode(Call("m"), PORTAL, HOOK).sending == 0
