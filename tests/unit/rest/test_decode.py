from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.credentials import Tokens
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    AuthenticationError,
    Bitrix24Error,
    NotFoundError,
    OutcomeUnknownError,
    QueryLimitError,
    RequestRefusedError,
    UnexpectedReplyError,
)
from airflow_provider_b24.rest.protocol import Reply, Response, as_number, decode, decode_tokens


def answer(status: int, body: Any, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def _outcome(decoder: Callable[[], Any]) -> Any:
    try:
        return decoder()
    except Bitrix24Error as error:
        return error


def refused(status: int, body: Any, **headers: str) -> Bitrix24Error:
    with pytest.raises(Bitrix24Error) as caught:
        decode("im.message.add", answer(status, body, **headers))
    assert caught.value.method == "im.message.add"
    assert caught.value.status == status
    return caught.value


@pytest.mark.parametrize("result", [None, False, 0, "", [], {}, True, 17, "x", [1], {"item": {"id": 5}}])
def test_a_result_is_given_back_as_it_is(result: Any) -> None:
    assert decode("m", answer(200, {"result": result})) == Reply(result)


def test_what_stands_beside_the_result() -> None:
    spent = {"start": 1757424671.509725, "operating_reset_at": 1757425271, "operating": 0.672}
    reply = decode("m", answer(200, {"result": [], "total": 120, "next": 50, "time": spent}))
    assert reply == Reply([], 120, 50, 0.672, 1757425271.0)


@pytest.mark.parametrize(
    ("more", "reply"),
    [
        ({"total": "120", "next": "50"}, Reply(1, 120, 50)),
        ({"total": 0, "next": 0}, Reply(1, 0, 0)),
        ({"total": True, "next": []}, Reply(1)),
        ({"total": "many", "next": {}}, Reply(1)),
        ({"total": 1e300, "next": -1e300}, Reply(1)),
        ({"time": []}, Reply(1)),
        ({"time": "now"}, Reply(1)),
        ({"time": {"operating": None, "operating_reset_at": "1757425271"}}, Reply(1, None, None, None, 1757425271.0)),
        ({"error": None}, Reply(1)),
        ({"error": ""}, Reply(1)),
        ({"error": []}, Reply(1)),
        ({"error": {}}, Reply(1)),
        ({"error": False}, Reply(1)),
        ({"error": 0}, Reply(1)),
    ],
)
def test_odd_things_beside_the_result(more: dict[str, Any], reply: Reply) -> None:
    assert decode("m", answer(200, {"result": 1, **more})) == reply


def test_a_byte_order_mark_and_space_around() -> None:
    assert decode("m", answer(200, b'\xef\xbb\xbf \n{"result":"\xd0\x96"} \n')).result == "Ж"


def test_an_error_of_rest_2() -> None:
    error = refused(403, {"error": "ACCESS_ERROR", "error_description": "You do not\n have access"})
    assert type(error) is AccessDeniedError
    assert (error.code, error.description) == ("ACCESS_ERROR", "You do not have access")


def test_an_error_within_http_200() -> None:
    assert type(refused(200, {"error": "ERROR_METHOD_NOT_FOUND"})) is NotFoundError
    assert type(refused(200, {"error": "NO_APPLICATION_ID", "error_description": "x"})) is RequestRefusedError


def test_an_error_with_a_result_beside_it() -> None:
    assert refused(200, {"error": "X", "result": []}).code == "X"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("", ""),
        (0, "0"),
        ("0", "0"),
        (100, "100"),
        ("100", "100"),
        (" ACCESS_ERROR ", "ACCESS_ERROR"),
        (True, ""),
        ([], ""),
    ],
)
def test_empty_and_numeric_codes(code: Any, shown: str) -> None:
    error = refused(400, {"error": code, "error_description": "Wrong DOCUMENT_ID!"})
    assert (error.code, error.description) == (shown, "Wrong DOCUMENT_ID!")
    assert isinstance(error, AccessDeniedError if "ACCESS" in shown else RequestRefusedError)


def test_an_error_of_rest_3() -> None:
    body = {
        "error": {
            "code": "BITRIX_REST_V3_EXCEPTION_VALIDATION_REQUESTVALIDATIONEXCEPTION",
            "message": "Ошибка",
            "validation": [{"message": "required", "field": "id"}, "odd", {"field": "x"}],
        }
    }
    error = refused(400, body)
    assert type(error) is RequestRefusedError
    assert error.description == "Ошибка; id: required; x:"


@pytest.mark.parametrize(
    ("error_object", "code", "description"),
    [
        ({"code": "X"}, "X", ""),
        ({"code": None, "message": None}, "", ""),
        ({"message": ["a"]}, "", ""),
        ({"code": {"a": 1}, "message": 7}, "", "7"),
        ({"validation": [{"field": "id", "message": "required"}]}, "", "id: required"),
        ({"validation": {}}, "", ""),
        ([], "", ""),
        (["a"], "", ""),
        (True, "", ""),
        (1.5, "1.5", ""),
    ],
)
def test_odd_errors(error_object: Any, code: str, description: str) -> None:
    error = refused(400, {"error": error_object})
    assert (error.code, error.description) == (code, description)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, OutcomeUnknownError),
        (204, OutcomeUnknownError),
        (303, UnexpectedReplyError),
        (400, UnexpectedReplyError),
        (401, UnexpectedReplyError),
        (403, UnexpectedReplyError),
        (404, UnexpectedReplyError),
        (408, OutcomeUnknownError),
        (413, UnexpectedReplyError),
        (429, QueryLimitError),
        (500, OutcomeUnknownError),
        (502, OutcomeUnknownError),
        (503, OutcomeUnknownError),
        (504, OutcomeUnknownError),
    ],
)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"null", b"[]", b"7", b'"x"', b'{"result":', b"\xff\xfe", b"\x00" * 9, b"{}", b'{"time":{}}'],
    ids=str,
)
def test_what_is_no_answer_of_a_portal(status: int, kind: type[Bitrix24Error], body: bytes) -> None:
    error = refused(status, body, content_type="text/html; charset=utf-8")
    assert type(error) is kind
    assert error.code is None
    assert f"text/html, {len(body)} bytes" in error.description


def test_a_result_that_comes_with_an_errors_status() -> None:
    assert type(refused(500, {"result": 1})) is OutcomeUnknownError
    assert type(refused(404, {"result": 1})) is UnexpectedReplyError


def test_no_content_type_and_a_very_long_one() -> None:
    assert "(no content type, 0 bytes)" in refused(502, b"").description
    assert len(refused(502, b"", content_type="x" * 10_000).description) < 300


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("", None), ("-1", None), ("1.5", None), ("99999999", None), ("x", None)],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert refused(503, {"error": "QUERY_LIMIT_EXCEEDED"}, retry_after=header).retry_after == seconds
    assert refused(503, b"<html>", retry_after=header).retry_after == seconds
    assert refused(429, b"<html>", retry_after=header).retry_after == seconds


@pytest.mark.parametrize("depth", [900, 3_000, 30_000, 1_000_000])
@pytest.mark.parametrize("place", ['{{"result":{}}}', '{{"error":{}}}', '{{"error":{{"message":{}}}}}', "{}"])
def test_deep_json_is_no_stack_overflow(depth: int, place: str) -> None:
    body = place.format("[" * depth + "]" * depth).encode()
    outcome = _outcome(lambda: decode("m", answer(400 if "error" in place else 200, body)))
    if isinstance(outcome, Bitrix24Error):
        assert len(str(outcome)) < 1000
    else:
        assert isinstance(outcome.result, list)


def test_huge_numbers() -> None:
    assert refused(200, b'{"result":' + b"9" * 5000 + b"}").effect_unknown
    assert decode("m", answer(200, b'{"result":1,"total":' + b"9" * 400 + b',"next":1e400}')) == Reply(1)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        ("1.5", 1.5),
        (True, None),
        (None, None),
        ("", None),
        ("x", None),
        ([1], None),
        ("nan", None),
        (1e15, None),
    ],
)
def test_numbers_that_may_come_as_text(value: Any, number: float | None) -> None:
    assert as_number(value) == number


BEFORE = Tokens("old", "oldref", "https://acme.bitrix24.com/rest/")


def test_renewed_tokens() -> None:
    body = {
        "access_token": "a",
        "refresh_token": "r",
        "client_endpoint": "https://new.bitrix24.com/rest/",
        "expires_in": 3600,
    }
    assert decode_tokens(answer(200, body), BEFORE) == Tokens("a", "r", "https://new.bitrix24.com/rest/")


@pytest.mark.parametrize("endpoint", [None, "", 7, []])
def test_the_endpoint_stays_where_none_is_named(endpoint: Any) -> None:
    body = {"access_token": "a", "refresh_token": "r", "client_endpoint": endpoint}
    assert decode_tokens(answer(200, body), BEFORE).endpoint == BEFORE.endpoint


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"error": "invalid_grant"}, AuthenticationError, "authorise the application anew"),
        (400, {"error": "invalid_client"}, AuthenticationError, "client_secret"),
        (200, {"error": "wrong_client"}, AuthenticationError, "client_id"),
        (200, {}, OutcomeUnknownError, "no tokens"),
        (200, {"access_token": "a"}, OutcomeUnknownError, "no tokens"),
        (200, {"access_token": "", "refresh_token": "r"}, OutcomeUnknownError, "no usable tokens"),
        (200, {"access_token": 7, "refresh_token": "r"}, OutcomeUnknownError, "no tokens"),
        (200, {"access_token": "a\n", "refresh_token": "r"}, OutcomeUnknownError, "no usable tokens"),
        (200, b'{"access_token": "a", "refresh_token": "\\ud800"}', OutcomeUnknownError, "no usable tokens"),
        (403, {"access_token": "a", "refresh_token": "r"}, UnexpectedReplyError, "no tokens"),
        (502, b"<html>", OutcomeUnknownError, "not the JSON object"),
        (404, b"<html>", UnexpectedReplyError, "not the JSON object"),
        (429, b"<html>", QueryLimitError, "not the JSON object"),
    ],
)
def test_no_renewed_tokens(status: int, body: Any, kind: type[Bitrix24Error], words: str) -> None:
    with pytest.raises(Bitrix24Error) as caught:
        decode_tokens(answer(status, body), BEFORE)
    assert type(caught.value) is kind
    assert words in str(caught.value)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
_word = st.sampled_from(
    [
        *("result", "error", "error_description", "code", "message", "validation", "time", "total", "next"),
        *("operating", "access_token", "refresh_token", "client_endpoint"),
    ]
)
_payloads = st.dictionaries(
    _word, st.one_of(_json, st.dictionaries(_word, _json), st.lists(st.dictionaries(_word, _json)))
)
_statuses = st.sampled_from([200, 204, 302, 400, 401, 403, 404, 408, 429, 500, 503])
_headers = st.dictionaries(st.sampled_from(["retry-after", "content-type"]), st.text())


def _only_ours(response: Response) -> None:
    for decoder in (lambda: decode("m", response), lambda: decode_tokens(response, BEFORE)):
        assert str(_outcome(decoder))


@given(_statuses, _headers, st.binary())
def test_any_bytes(status: int, headers: dict[str, str], body: bytes) -> None:
    _only_ours(Response(status, headers, body))


@given(_statuses, _headers, _payloads | _json)
def test_any_json(status: int, headers: dict[str, str], payload: Any) -> None:
    _only_ours(Response(status, headers, json.dumps(payload).encode()))
