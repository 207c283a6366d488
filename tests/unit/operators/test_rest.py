"""RestOperator: at parse time, and against a portal."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.clock import SystemClock
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError
from airflow_provider_b24.testing import Fault


def rest(**arguments):
    return RestOperator(**{"task_id": "rest", "method": "user.get", **arguments})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "crm/item"}, "A REST method looks like 'crm.item.get'"),
        ({"method": ""}, "method is ''. A REST method looks like"),
        ({"method": None}, "method is None. A REST method looks like"),
        ({"method": "https://example.bitrix24.com/rest/1/s3cr3t/profile"}, "no slashes, no address in front of it"),
        ({"method": "profile.json"}, "method is 'profile.json'. Leave off the suffix"),
        ({"params": "ID=5"}, "params is a str. Give a mapping of names to values, or a list"),
        ({"params": 5}, "params is a int. Give a mapping"),
        ({"version": 1}, "version is 1. It is 2 (classic REST) or 3 (REST 3.0)."),
    ],
)
def test_what_can_not_be_right_is_refused_while_the_dag_is_parsed(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        rest(**arguments)
    assert words in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "sent"),
    [
        (None, {}),
        ({}, {}),
        ({"ID": 4}, {"ID": 4}),
        ({"FILTER": {"ID": [4]}, "start": -1}, {"FILTER": {"ID": [4]}, "start": -1}),
        ([4, "x"], [4, "x"]),
        ((4, ["x"]), [4, ["x"]]),
    ],
)
def test_parameters_are_those_of_the_method(portal, context, params, sent):
    rest(params=params).execute(context)
    assert portal.calls[-1].params == sent


def test_the_result_of_the_call(portal, context):
    (row,) = rest(params={"ID": 4}).execute(context)
    assert row["NAME"] == "Daniel"


def test_rest_3(portal, context):
    result = rest(method="tasks.task.get", params={"id": 8293}, version=3).execute(context)
    assert result["item"]["id"] == 8293


def test_airflows_own_params_are_others(portal, dag, context):
    with DAG("with_params", params={"week": Param(5), "ID": 3}, default_args={"params": {"day": 1}}):
        operator = rest(params={"ID": 4})
        plain = rest(task_id="plain")
    assert operator.rest_params == {"ID": 4}
    assert plain.rest_params is None
    for task in (operator, plain):
        assert {"week", "ID"} <= set(task.params)
        assert task.params["week"] == 5
    assert operator.params["ID"] == 3, "the DAG's, not the method's"
    operator.execute(context)
    assert portal.calls[-1].params == {"ID": 4}


def test_arguments_from_default_args():
    with DAG("defaults", default_args={"bitrix24_conn_id": "other", "version": 3, "retries": 2}):
        operator = rest(params={"ID": 4})
    assert (operator.bitrix24_conn_id, operator.version, operator.retries) == ("other", 3, 2)


def test_both_names_at_once():
    with pytest.raises(TypeError, match="params and rest_params are two names of one argument"):
        rest(params={}, rest_params={})
    assert rest(rest_params={"ID": 4}).rest_params == {"ID": 4}


def test_what_is_rendered(dag):
    operator = rest(
        method="crm.{{ kind }}.list",
        params={"filter": {">=id": "{{ first }}", "stage": ["{{ stage }}", 5, None, True]}},
        bitrix24_conn_id="{{ conn }}",
    )
    operator.render_template_fields({"kind": "deal", "first": "7", "stage": "WON", "conn": "other"})
    assert operator.method == "crm.deal.list"
    assert operator.rest_params == {"filter": {">=id": "7", "stage": ["WON", 5, None, True]}}
    assert operator.bitrix24_conn_id == "other"


def test_results_of_other_tasks_in_params_create_the_dependency(dag):
    first, second = rest(task_id="first"), rest(task_id="second")
    operator = rest(task_id="third", params={"filter": {"ID": first.output}, "list": [1, second.output["x"]]})
    whole = rest(task_id="fourth", params=first.output)
    assert operator.upstream_task_ids == {"first", "second"}
    assert whole.upstream_task_ids == {"first"}


def test_a_result_that_is_too_large(portal, context):
    operator = rest(max_result_bytes=100)
    with pytest.raises(AirflowFailException) as caught:
        operator.execute(context)
    assert "bytes, and max_result_bytes is 100" in str(caught.value)
    assert "hook.iterate" in str(caught.value)
    assert "raise max_result_bytes" in str(caught.value)


def test_a_large_result_that_goes_nowhere(portal, context):
    assert rest(max_result_bytes=100, do_xcom_push=False).execute(context)


def test_a_result_is_measured_as_it_is_stored(portal, context):
    ids = portal.add_message("chat2935", 2, "я" * 100)
    operator = rest(method="im.dialog.messages.get", params={"DIALOG_ID": "chat2935"}, max_result_bytes=10_000)
    assert operator.execute(context)["messages"][0]["id"] == ids


def test_half_a_character_in_a_result(portal, context, monkeypatch):
    # JSON can say it, the portal on loopback can not.
    monkeypatch.setattr(Bitrix24Hook, "call", lambda *arguments, **options: {"text": "\ud83d"})
    assert rest().execute(context) == {"text": "\ud83d"}


@pytest.mark.parametrize("method", ["crm.item.add", "im.message.add"])
def test_a_write_with_an_unknown_outcome_fails_without_retries(portal, context, method):
    portal.faults.add(Fault("reset_after", method, times=None))
    params = {"entityTypeId": 2, "fields": {"title": "x"}, "DIALOG_ID": "chat2935", "MESSAGE": "x"}
    with pytest.raises(AirflowFailException, match="may have been carried out; it was not sent again"):
        rest(method=method, params=params).execute(context)
    assert len(portal.calls) == 1


def test_a_read_without_an_answer_is_repeated_and_retried(portal, context, monkeypatch):
    monkeypatch.setattr(SystemClock, "sleep", lambda self, seconds: None)
    portal.faults.add(Fault("reset", "user.get", times=None))
    with pytest.raises(Bitrix24Error) as caught:
        rest().execute(context)
    assert not isinstance(caught.value, AirflowFailException)
    assert len(portal.calls) == 4


@pytest.mark.parametrize("method", ["no.such.method", "crm.item.get"])
def test_what_is_refused_for_good_fails_without_retries(portal, context, method):
    with pytest.raises(AirflowFailException):
        rest(method=method, params={"entityTypeId": 2, "id": 10**9}).execute(context)


def test_a_template_that_renders_to_text(portal, dag, context):
    operator = rest(params="{{ params_of_call }}")
    operator.render_template_fields({"params_of_call": {"ID": 4}})
    with pytest.raises(AirflowFailException, match=r"params of user\.get is a str"):
        operator.execute(context)
    assert portal.calls == []
