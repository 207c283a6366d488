"""Operators in DAGs as Airflow handles them: written down for the scheduler, and mapped over many values."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from airflow.sdk import DAG, task
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_b24.operators.dialog import DialogReadOperator, DialogUnreadOperator, DialogWritingOperator
from airflow_provider_b24.operators.message import MessageAddOperator
from airflow_provider_b24.operators.rest import RestOperator
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.transfers.bitrix24_to_object_storage import Bitrix24ToObjectStorageOperator

OPERATORS: dict[type, dict[str, Any]] = {
    DialogWritingOperator: {"dialog_id": "chat5", "keep_for": dt.timedelta(minutes=2), "status": "PROCESSING"},
    DialogReadOperator: {"dialog_id": "chat5"},
    DialogUnreadOperator: {"dialog_id": "chat5", "message_id": 5},
    MessageAddOperator: {
        "dialog_id": "chat5",
        "message": "text",
        "attach": [{"MESSAGE": "a"}],
        "keyboard": {"BUTTONS": [{"TEXT": "b"}]},
    },
    Bitrix24ToObjectStorageOperator: {
        "params": {"entityTypeId": 2},
        "path": "s3://lake/{{ ds }}.csv",
        "overlap": dt.timedelta(minutes=1),
        "kinds": {"begindate": "string"},
    },
    RestOperator: {"method": "crm.item.get", "params": {"entityTypeId": 2, "id": 7}, "version": 2},
}


@pytest.mark.parametrize(("kind", "arguments"), OPERATORS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_through_the_database(kind, arguments):
    with DAG("dag", start_date=dt.datetime(2026, 1, 1)) as dag:
        operator = kind(task_id="one", **arguments)
        kind(task_id="other", **arguments) >> operator
    written = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    again = DagSerialization.from_dict(written).task_dict["one"]
    assert again.task_type == kind.__name__
    assert again.upstream_task_ids == {"other"}
    assert list(again.template_fields) == list(kind.template_fields)
    for name in kind.template_fields:
        assert getattr(again, name) == getattr(operator, name)


def unmapped(mapped, **values):
    return mapped.unmap({**values})


def test_dialogs_mapped(dag):
    mapped = DialogWritingOperator.partial(task_id="typing", keep_for=60, interval=6).expand(
        dialog_id=["chat1", "deal:5"]
    )
    operator = unmapped(mapped, dialog_id="deal:5")
    assert (operator.dialog_id, operator.keep_for, operator.interval) == ("deal:5", 60.0, 6.0)
    with pytest.raises(ConfigurationError, match="dialog_id is 'x'"):
        unmapped(mapped, dialog_id="x")


def test_messages_mapped(dag):
    @task
    def texts():
        return ["a", "b"]

    mapped = MessageAddOperator.partial(task_id="report", dialog_id="chat5", attach=[{"MESSAGE": "x"}]).expand(
        message=texts()
    )
    assert mapped.upstream_task_ids == {"texts"}
    operator = unmapped(mapped, message="a")
    assert (operator.message, operator.dialog_id, operator.attach) == ("a", "chat5", [{"MESSAGE": "x"}])


def test_marks_mapped(dag):
    mapped = DialogReadOperator.partial(task_id="read").expand(dialog_id=["chat1", "chat2"])
    assert unmapped(mapped, dialog_id="chat2").dialog_id == "chat2"


class TestRestMapped:
    def test_over_params(self, dag, portal, context):
        mapped = RestOperator.partial(task_id="rest", method="user.get").expand(params=[{"ID": 4}, {"ID": 5}])
        assert mapped.expand_input.value == {"rest_params": [{"ID": 4}, {"ID": 5}]}
        operator = unmapped(mapped, rest_params={"ID": 5})
        assert operator.rest_params == {"ID": 5}
        (row,) = operator.execute(context)
        assert row["ID"] == "5"

    @pytest.mark.parametrize("name", ["params", "rest_params"])
    def test_over_methods(self, dag, portal, context, name):
        mapped = RestOperator.partial(task_id="rest", **{name: {"ID": 4}}).expand(method=["user.get", "user.search"])
        operator = unmapped(mapped, method="user.get")
        assert operator.rest_params == {"ID": 4}
        assert [row["ID"] for row in operator.execute(context)] == ["4"]

    def test_over_results_of_a_task(self, dag):
        @task
        def rows():
            return [{"ID": 4}]

        mapped = RestOperator.partial(task_id="rest", method="user.get").expand(params=rows())
        assert mapped.upstream_task_ids == {"rows"}
        assert unmapped(mapped, rest_params={"ID": 4}).rest_params == {"ID": 4}

    def test_over_arguments(self, dag):
        mapped = RestOperator.partial(task_id="rest").expand_kwargs(
            [{"method": "profile", "params": {}}, {"method": "user.get", "rest_params": {"ID": 4}}]
        )
        assert mapped.expand_input.value == [
            {"method": "profile", "rest_params": {}},
            {"method": "user.get", "rest_params": {"ID": 4}},
        ]
        assert unmapped(mapped, method="user.get", rest_params={"ID": 4}).rest_params == {"ID": 4}

    def test_over_arguments_of_a_task(self, dag):
        @task
        def calls():
            return [{"method": "user.get", "rest_params": {"ID": 4}}]

        mapped = RestOperator.partial(task_id="rest").expand_kwargs(calls())
        assert mapped.upstream_task_ids == {"calls"}
        assert unmapped(mapped, method="user.get", rest_params={"ID": 4}).rest_params == {"ID": 4}

    def test_airflows_own_params_are_others(self):
        with DAG("dag", params={"week": 5}):
            mapped = RestOperator.partial(task_id="rest", method="user.get").expand(params=[{"ID": 4}])
        operator = unmapped(mapped, rest_params={"ID": 4})
        assert operator.rest_params == {"ID": 4}
        assert dict(operator.params) == {"week": 5}

    def test_a_result_inside_params_creates_the_dependency(self, dag):
        first: Any = RestOperator(task_id="first", method="profile")
        mapped = RestOperator.partial(task_id="rest", params={"ID": first.output["ID"]}).expand(method=["user.get"])
        assert mapped.upstream_task_ids == {"first"}

    @pytest.mark.filterwarnings("ignore:Task 'rest' was never mapped")
    def test_twice_the_same(self, dag):
        with pytest.raises(TypeError, match="two names of one argument"):
            RestOperator.partial(task_id="rest", params={}, rest_params={})
        with pytest.raises(TypeError, match="unmappable or already specified"):
            RestOperator.partial(task_id="rest", method="profile", params={}).expand(params=[{}])

    def test_an_argument_there_is_not(self, dag):
        with pytest.raises(TypeError, match="unexpected keyword argument 'parameters'"):
            RestOperator.partial(task_id="rest", method="profile", parameters={})

    def test_who_forgets_to_expand_is_told(self, dag):
        with pytest.warns(UserWarning, match="Task 'rest' was never mapped!"):
            RestOperator.partial(task_id="rest", method="profile")


@pytest.mark.parametrize(
    ("kind", "partial", "mapped"),
    [
        (DialogWritingOperator, {"keep_for": 60}, {"dialog_id": ["chat1", "chat2"]}),
        (MessageAddOperator, {"dialog_id": "chat5"}, {"message": ["a", "b"]}),
        (RestOperator, {"method": "user.get"}, {"params": [{"ID": 4}]}),
    ],
)
def test_mapped_through_the_database(kind, partial, mapped):
    with DAG("dag", start_date=dt.datetime(2026, 1, 1)) as dag:
        kind.partial(task_id="one", **partial).expand(**mapped)
    written = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    again = DagSerialization.from_dict(written).task_dict["one"]
    assert again.is_mapped
    assert again.task_type == kind.__name__
