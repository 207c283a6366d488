from __future__ import annotations

import pickle

import pytest

from airflow_provider_b24.rest import errors
from airflow_provider_b24.rest.errors import (
    CODES,
    AccessDeniedError,
    AuthenticationError,
    Bitrix24Error,
    CertificateError,
    ConfigurationError,
    DeliveryUnknownError,
    FileError,
    IncompleteReplyError,
    LimitError,
    LowBucketError,
    NotEditableError,
    NotExecutedError,
    NotFoundError,
    NotSentError,
    OperatingLimitError,
    OutcomeUnknownError,
    PortalBlockedError,
    QueryLimitError,
    RedirectRefusedError,
    RequestRefusedError,
    TokenExpiredError,
    UnexpectedReplyError,
    error_for,
)


@pytest.mark.parametrize(
    ("kind", "permanent", "effect_unknown"),
    [
        (ConfigurationError, True, False),
        (AuthenticationError, True, False),
        (TokenExpiredError, True, False),
        (AccessDeniedError, True, False),
        (NotEditableError, True, False),
        (NotFoundError, True, False),
        (RequestRefusedError, True, False),
        (PortalBlockedError, True, False),
        (LimitError, False, False),
        (QueryLimitError, False, False),
        (OperatingLimitError, False, False),
        (LowBucketError, False, False),
        (NotSentError, False, False),
        (FileError, False, False),
        (CertificateError, True, False),
        (OutcomeUnknownError, False, True),
        (DeliveryUnknownError, True, True),
        (UnexpectedReplyError, True, False),
        (RedirectRefusedError, True, False),
        (IncompleteReplyError, False, False),
        (NotExecutedError, True, False),
    ],
)
def test_what_is_said_of_every_class(kind: type[Bitrix24Error], *, permanent: bool, effect_unknown: bool) -> None:
    assert (kind.permanent, kind.effect_unknown) == (permanent, effect_unknown)


def test_the_table_above_names_every_class() -> None:
    kinds = {item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Bitrix24Error)}
    marks = test_what_is_said_of_every_class.pytestmark  # type: ignore[attr-defined]
    assert kinds - {Bitrix24Error} == {row[0] for row in marks[0].args[1]}


# Every code of the vendor's tables with its documented status, and what it means to a caller.
@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("QUERY_LIMIT_EXCEEDED", 503, QueryLimitError),
        ("QUERY_LIMIT_EXCEEDED", 429, QueryLimitError),
        ("query_limit_exceeded", 200, QueryLimitError),
        ("OPERATION_TIME_LIMIT", 429, OperatingLimitError),
        ("OVERLOAD_LIMIT", 503, PortalBlockedError),
        ("PORTAL_DELETED", 500, PortalBlockedError),
        ("PORTAL_DELETED", 410, PortalBlockedError),
        ("PAYMENT_REQUIRED", 401, PortalBlockedError),
        ("INTERNAL_SERVER_ERROR", 500, OutcomeUnknownError),
        ("ERROR_UNEXPECTED_ANSWER", 500, OutcomeUnknownError),
        ("NO_AUTH_FOUND", 401, AuthenticationError),
        ("expired_token", 401, TokenExpiredError),
        ("invalid_token", 401, AuthenticationError),
        ("APPLICATION_NOT_FOUND", 401, AuthenticationError),
        ("ERROR_OAUTH", 401, AuthenticationError),
        ("authorization_error", 401, AuthenticationError),
        ("INVALID_CREDENTIALS", 403, AuthenticationError),
        ("INVALID_CREDENTIALS", 401, AuthenticationError),
        ("invalid_grant", 400, AuthenticationError),
        ("invalid_client", 400, AuthenticationError),
        ("wrong_client", 200, AuthenticationError),
        ("NOT_INSTALLED", 401, AuthenticationError),
        ("insufficient_scope", 401, AccessDeniedError),
        ("insufficient_scope", 403, AccessDeniedError),
        ("invalid_scope", 403, AccessDeniedError),
        ("ACCESS_DENIED", 400, AccessDeniedError),
        ("user_access_error", 403, AccessDeniedError),
        ("allowed_only_intranet_user", 403, AccessDeniedError),
        ("WRONG_AUTH_TYPE", 403, AccessDeniedError),
        ("METHOD_CONFIRM_WAITING", 401, AccessDeniedError),
        ("METHOD_CONFIRM_DENIED", 403, AccessDeniedError),
        ("AccessException", 400, AccessDeniedError),
        ("ACCESS_ERROR", 403, AccessDeniedError),
        ("ACCESS_ERROR", 400, AccessDeniedError),
        ("INVALID_REQUEST", 400, RequestRefusedError),
        ("DIALOG_ID_EMPTY", 400, RequestRefusedError),
        ("ERROR_BATCH_METHOD_NOT_ALLOWED", 405, RequestRefusedError),
        ("ERROR_BATCH_LENGTH_EXCEEDED", 400, RequestRefusedError),
        ("ERROR_METHOD_NOT_FOUND", 404, NotFoundError),
        ("BITRIX_REST_V3_EXCEPTION_ENTITYNOTFOUNDEXCEPTION", 400, NotFoundError),
        ("BITRIX_REST_V3_EXCEPTION_ACCESSDENIEDEXCEPTION", 403, AccessDeniedError),
        ("BITRIX_REST_V3_EXCEPTION_INSUFFICIENTSCOPEEXCEPTION", 403, AccessDeniedError),
        ("BITRIX_REST_V3_EXCEPTION_VALIDATION_REQUESTVALIDATIONEXCEPTION", 400, RequestRefusedError),
        # not in the table: the status helps
        ("100", 400, RequestRefusedError),
        ("", 400, RequestRefusedError),
        (None, 400, RequestRefusedError),
        ("SOMETHING_NEW", 200, RequestRefusedError),
        ("SOMETHING_NEW", None, RequestRefusedError),
        ("SOMETHING_NEW", 401, AuthenticationError),
        ("SOMETHING_NEW", 403, AccessDeniedError),
        ("SOMETHING_NEW", 404, NotFoundError),
        ("SOMETHING_NEW", 408, OutcomeUnknownError),
        ("SOMETHING_NEW", 422, RequestRefusedError),
        ("SOMETHING_NEW", 429, QueryLimitError),
        ("SOMETHING_NEW", 500, OutcomeUnknownError),
        ("SOMETHING_NEW", 503, OutcomeUnknownError),
        ("", 504, OutcomeUnknownError),
    ],
)
def test_what_a_code_means(code: str | None, status: int | None, kind: type[Bitrix24Error]) -> None:
    error = error_for(code, "words", method="im.message.add", status=status, retry_after=3.0)
    assert type(error) is kind
    assert (error.code, error.status, error.method, error.description) == (code, status, "im.message.add", "words")
    assert error.retry_after == 3.0


def test_codes_are_looked_up_in_lower_case() -> None:
    assert [code for code in CODES if code != code.lower().strip()] == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Bitrix24Error("no such deal"), "no such deal"),
        (Bitrix24Error("no such deal", advice="Look again."), "no such deal. Look again."),
        (Bitrix24Error("No such deal!", advice="Look again."), "No such deal! Look again."),
        (Bitrix24Error("", code="", status=400), "empty error code (HTTP 400)"),
        (Bitrix24Error("broken", method="profile", status=502), "profile: HTTP 502: broken"),
        (Bitrix24Error("", method="profile", code="X", status=400), "profile: X (HTTP 400)"),
        (Bitrix24Error("no", method="profile", code="X"), "profile: X: no"),
    ],
)
def test_what_a_person_reads(error: Bitrix24Error, text: str) -> None:
    assert str(error) == text


def test_a_class_brings_its_advice() -> None:
    assert error_for("NO_AUTH_FOUND", "x").advice == AuthenticationError.default_advice
    assert "member" in error_for("ACCESS_ERROR", "x").advice
    assert "documentation" in error_for("X", "x").advice


def test_pickled_and_back() -> None:
    error = error_for("ACCESS_ERROR", "words", method="m", status=403, retry_after=2.0)
    error.permanent = False
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is AccessDeniedError
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_a_wrong_argument_is_a_value_error() -> None:
    assert issubclass(ConfigurationError, ValueError)
