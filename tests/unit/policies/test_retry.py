"""Bitrix24RetryPolicy, where Airflow has retry policies; and what the document says of retries."""

from __future__ import annotations

import json
import sys

import airflow.sdk
import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    NotSentError,
    OperatingLimitError,
    OutcomeUnknownError,
    QueryLimitError,
)
from airflow_provider_b24.rest.protocol import Call

MODULE = "airflow_provider_b24.policies.retry"
# Found by the feature itself, as the provider does.
HAS_POLICIES = hasattr(airflow.sdk, "RetryPolicy")


def test_without_retry_policies_it_says_what_is_needed(monkeypatch):
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.delitem(vars(airflow.sdk), "RetryPolicy", raising=False)
    monkeypatch.setattr(airflow.sdk, "__getattr__", _without_policies)
    with pytest.raises(ImportError, match=r"needs Airflow 3\.3") as caught:
        __import__(MODULE)
    assert caught.value.__cause__ is None


def _without_policies(name):
    raise AttributeError(name)


def policy():
    from airflow_provider_b24.policies.retry import Bitrix24RetryPolicy

    return Bitrix24RetryPolicy()


def told(exception):
    """Its decision: the action, the delay in seconds, the reason."""
    decision = policy().evaluate(exception, 1, 3)
    delay = decision.retry_delay
    return decision.action.value, None if delay is None else delay.total_seconds(), decision.reason


def raised(exception, cause=None, *, hidden=False):
    """The exception as it is caught, raised while another was handled, or from it."""
    try:
        try:
            if cause is not None:
                raise cause
        except BaseException as error:
            if hidden:
                raise exception from None
            raise exception from error
        raise exception
    except BaseException as caught:
        return caught


if HAS_POLICIES:

    def test_permanent_errors_fail_at_once():
        error = AccessDeniedError("no", method="im.message.add", code="ACCESS_ERROR", advice="Join the chat.")
        assert told(error) == ("fail", None, "im.message.add: ACCESS_ERROR: no. Join the chat.")

    def test_a_write_that_may_have_been_carried_out_fails_at_once():
        error = OutcomeUnknownError("no answer")
        error.permanent = True
        assert told(error)[0] == "fail"

    def test_the_portals_time_is_the_delay():
        error = OperatingLimitError("used up", method="crm.item.list", retry_after=437.5)
        assert told(error)[:2] == ("retry", 437.5)
        assert told(QueryLimitError("full", retry_after=0.0))[:2] == ("retry", 0.0)

    @pytest.mark.parametrize("seconds", [999_999.0, 1e300, float("inf")])
    def test_nothing_is_put_off_for_more_than_a_day(seconds):
        assert told(QueryLimitError("full", retry_after=seconds))[1] == 86_400.0

    @pytest.mark.parametrize(
        "error",
        [NotSentError("no connection"), OutcomeUnknownError("a read"), QueryLimitError("full"), ValueError("x")],
    )
    def test_everything_else_is_for_the_tasks_own_delay(error):
        assert told(error) == ("default", None, None)

    def test_it_sees_through_other_exceptions():
        limit = OperatingLimitError("used up", retry_after=100.0)
        assert told(raised(RuntimeError("sync failed"), limit))[:2] == ("retry", 100.0)
        assert told(raised(AirflowException("x"), raised(KeyError("y"), limit)))[:2] == ("retry", 100.0)
        assert told(raised(RuntimeError("x"), AccessDeniedError("no")))[0] == "fail"
        assert told(raised(RuntimeError("x"), AirflowFailException("no")))[0] == "fail"
        assert told(raised(AirflowFailException("no"), limit))[0] == "fail"
        # Whoever wrote "from None" meant it.
        assert told(raised(RuntimeError("x"), limit, hidden=True))[0] == "default"

    def test_it_sees_into_groups():
        class GroupError(Exception):
            exceptions = (ValueError("x"), OperatingLimitError("used up", retry_after=100.0))

        assert told(GroupError())[:2] == ("retry", 100.0)

    def test_a_chain_without_end_ends():
        first, second = ValueError("a"), ValueError("b")
        first.__cause__, second.__cause__ = second, first
        assert told(first)[0] == "default"

    def test_a_dag_with_it_is_serialised():
        with DAG("dag") as dag:
            BaseOperator(task_id="task", retries=3, retry_policy=policy())
        stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
        again = DagSerialization.from_dict(stored)
        assert again.task_dict["task"].has_retry_policy
        assert type(policy().deserialize(json.loads(json.dumps(policy().serialize())))) is type(policy())

    def test_the_document_says_what_the_code_does():
        from tests.unit.policies import table

        assert table.written() == table.table()
        assert set(table.PROVOKED) | set(table.MADE) == set(table.classes())

    def test_what_a_portal_failed_at_in_a_batch_is_not_written_twice():
        from tests.unit.policies import table

        assert told(table.in_a_batch(table.WRITE))[0] == "fail"
        assert told(table.in_a_batch(Call("crm.item.list")))[0] == "default"
