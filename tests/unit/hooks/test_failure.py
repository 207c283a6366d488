"""Which errors of the portal fail a task without retries."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    AuthenticationError,
    Bitrix24Error,
    CertificateError,
    ConfigurationError,
    NotFoundError,
    NotSentError,
    OperatingLimitError,
    OutcomeUnknownError,
    PortalBlockedError,
    QueryLimitError,
    RequestRefusedError,
)


@pytest.mark.parametrize(
    "kind",
    [
        AccessDeniedError,
        AuthenticationError,
        CertificateError,
        ConfigurationError,
        NotFoundError,
        PortalBlockedError,
        RequestRefusedError,
    ],
)
def test_what_a_retry_can_not_help_fails_at_once(kind):
    with pytest.raises(AirflowFailException) as caught, no_vain_retries():
        raise kind("Action unavailable", method="im.message.add", code="ACCESS_ERROR", advice="Add it to the chat.")
    assert str(caught.value) == "im.message.add: ACCESS_ERROR: Action unavailable. Add it to the chat."
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("kind", [NotSentError, OperatingLimitError, OutcomeUnknownError, QueryLimitError])
def test_what_may_pass_is_left_to_the_tasks_retries(kind):
    with pytest.raises(kind) as caught, no_vain_retries():
        raise kind("later")
    assert not isinstance(caught.value, AirflowException)


def test_a_write_with_an_unknown_outcome_is_not_retried():
    error = OutcomeUnknownError("no answer")
    error.permanent = True
    with pytest.raises(AirflowFailException), no_vain_retries():
        raise error


def test_other_exceptions_are_none_of_its_business():
    with pytest.raises(ZeroDivisionError), no_vain_retries():
        raise ZeroDivisionError


def test_nothing_happens_where_nothing_fails():
    with no_vain_retries():
        pass
    assert issubclass(Bitrix24Error, Exception)
    assert not issubclass(Bitrix24Error, AirflowException)
