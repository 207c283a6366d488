from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_b24.crm.fields import Field, fields_call, parse_fields
from airflow_provider_b24.rest.errors import ConfigurationError, UnexpectedReplyError

CALLS: list[tuple[str, dict[str, Any], str, dict[str, Any], int]] = [
    ("crm.item", {"entity_type_id": 2}, "crm.item.fields", {"entityTypeId": 2}, 2),
    ("crm.item.list", {"entityTypeId": 2}, "crm.item.fields", {"entityTypeId": 2}, 2),
    (
        "crm.item",
        {"entity_type_id": 2, "use_original_uf_names": True},
        "crm.item.fields",
        {"entityTypeId": 2, "useOriginalUfNames": "Y"},
        2,
    ),
    ("crm.deal", {}, "crm.deal.fields", {}, 2),
    ("crm.deal.list", {}, "crm.deal.fields", {}, 2),
    ("CRM.Deal.LIST", {}, "crm.deal.fields", {}, 2),
    ("crm.category.list", {"entity_type_id": 2}, "crm.category.fields", {"entityTypeId": 2}, 2),
    ("user.get", {}, "user.fields", {}, 2),
    ("user.search", {}, "user.fields", {}, 2),
    ("tasks.task.list", {}, "tasks.task.getFields", {}, 2),
    ("sale.order.list", {}, "sale.order.getfields", {}, 2),
    ("catalog.product.list", {"iblock_id": 23}, "catalog.product.getFieldsByFilter", {"filter": {"iblockId": 23}}, 2),
    (
        "lists.element.get",
        {"iblock_type_id": "lists", "iblock_code": "orders"},
        "lists.field.get",
        {"IBLOCK_TYPE_ID": "lists", "IBLOCK_CODE": "orders"},
        2,
    ),
    ("main.eventlog.list", {}, "main.eventlog.field.list", {}, 3),
    ("main.eventlog.tail", {}, "main.eventlog.field.list", {}, 3),
]


@pytest.mark.parametrize(("method", "params", "asked", "sent", "version"), CALLS, ids=[f"{c[0]} {c[1]}" for c in CALLS])
def test_what_is_asked(method: str, params: dict[str, Any], asked: str, sent: dict[str, Any], version: int) -> None:
    call = fields_call(method, params)
    assert (call.method, call.params, call.version) == (asked, sent, version)


def test_rest_3_on_request() -> None:
    assert fields_call("tasks.task.list", {}, version=3).method == "tasks.task.field.list"
    with pytest.raises(ConfigurationError, match=r"'crm\.item'"):
        fields_call("crm.item", {"entity_type_id": 2}, version=3)


OF_LISTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "crm.item.list",
        {"entityTypeId": 2, "useOriginalUfNames": "Y", "select": ["id"], "filter": {"id": 1}},
        {"entityTypeId": 2, "useOriginalUfNames": "Y"},
    ),
    ("crm.deal.list", {"select": ["ID"]}, {}),
    ("catalog.product.list", {"select": ["id"], "filter": {"=iblockId": 23, ">id": 5}}, {"filter": {"iblockId": 23}}),
    (
        "lists.element.get",
        {"IBLOCK_TYPE_ID": "lists", "IBLOCK_ID": 7, "FILTER": {}},
        {"IBLOCK_TYPE_ID": "lists", "IBLOCK_ID": 7},
    ),
]


@pytest.mark.parametrize(("method", "params", "sent"), OF_LISTS, ids=[one[0] for one in OF_LISTS])
def test_what_is_asked_for_a_list(method: str, params: dict[str, Any], sent: dict[str, Any]) -> None:
    assert fields_call(method, params, of_list=True).params == sent


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("crm.item", {}, "entityTypeId"),
    ("crm.item", {"entity": 2}, "has no parameter 'entity'"),
    ("crm.deal", {"entity_type_id": 2}, "It has none"),
    ("catalog.product.list", {}, "iblockId"),
    ("crm.nothing", {}, "crm.activity, .*tasks.task"),
    ("im.dialog.messages.get", {}, "nothing is known"),
]


@pytest.mark.parametrize(("method", "params", "words"), WRONG, ids=[f"{one[0]} {one[1]}" for one in WRONG])
def test_what_can_not_be_asked(method: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        fields_call(method, params)


def crm(kind: str, title: str, **about: Any) -> dict[str, Any]:
    """A field, as crm.*.fields describes it."""
    flags = dict.fromkeys(("isRequired", "isReadOnly", "isImmutable", "isMultiple", "isDynamic"), False)
    return {"type": kind, **flags, "title": title, **about}


def flat(kind: str, **about: Any) -> dict[str, Any]:
    """The same, of catalog.* and sale.*."""
    return {"isImmutable": False, "isReadOnly": False, "isRequired": False, "type": kind, **about}


ANSWERS: list[tuple[str, Any, dict[str, Field]]] = [
    (
        "crm.item.fields",
        {
            "fields": {
                "id": crm("integer", "ID", isReadOnly=True, upperName="ID"),
                "ufCrm_3_DIGIT10": crm(
                    "enumeration",
                    "Size",
                    isMultiple=True,
                    upperName="UF_CRM_3_DIGIT10",
                    items=[{"ID": "79", "VALUE": "small"}, {"ID": "80", "VALUE": "large"}],
                ),
            }
        },
        {
            "id": Field("id", "integer", "ID", read_only=True, upper_name="ID"),
            "ufCrm_3_DIGIT10": Field(
                "ufCrm_3_DIGIT10",
                "enumeration",
                "Size",
                multiple=True,
                upper_name="UF_CRM_3_DIGIT10",
                items={"79": "small", "80": "large"},
            ),
            "entityTypeId": Field("entityTypeId", "integer", read_only=True),
        },
    ),
    (
        "crm.deal.fields",
        {"TITLE": crm("string", "Name", isRequired=True), "OPENED": crm("char", "Open", isImmutable=True)},
        {
            "TITLE": Field("TITLE", "string", "Name", required=True, upper_name="TITLE"),
            "OPENED": Field("OPENED", "char", "Open", immutable=True, upper_name="OPENED"),
        },
    ),
    ("crm.status.fields", {"ID": crm("integer", "ID")}, {"ID": Field("ID", "integer", "ID", upper_name="ID")}),
    ("crm.deal.fields", [], {}),
    (
        "tasks.task.getFields",
        {
            "fields": {
                "ID": {"title": "ID", "type": "integer", "primary": True},
                "UF_TASK_WEBDAV_FILES": {"title": None, "type": "disk_file"},
                "TASK_CONTROL": {"title": "Approve", "type": "enum", "values": {"Y": "Yes", "N": "No"}},
                "DURATION_TYPE": {"title": "Unit", "type": "enum", "values": ["secs", "mins"]},
                "ACCOMPLICES": {"title": None, "type": "array"},
                "UF_CRM_TASK": {"title": "CRM", "type": "crm"},
            }
        },
        {
            "id": Field("id", "integer", "ID", read_only=True, upper_name="ID"),
            "ufTaskWebdavFiles": Field("ufTaskWebdavFiles", "disk_file", upper_name="UF_TASK_WEBDAV_FILES"),
            "taskControl": Field(
                "taskControl", "enum", "Approve", upper_name="TASK_CONTROL", items={"Y": "Yes", "N": "No"}
            ),
            "durationType": Field(
                "durationType", "enum", "Unit", upper_name="DURATION_TYPE", items={"secs": "secs", "mins": "mins"}
            ),
            "ufCrmTask": Field("ufCrmTask", "crm", "CRM", multiple=True, upper_name="UF_CRM_TASK"),
            "accomplices": Field("accomplices", "array", multiple=True, upper_name="ACCOMPLICES"),
        },
    ),
    (
        "catalog.product.getFieldsByFilter",
        {"product": {"name": flat("string", name="Name", isRequired=True), "id": flat("integer", isReadOnly=True)}},
        {
            "name": Field("name", "string", "Name", required=True, upper_name="name"),
            "id": Field("id", "integer", read_only=True, upper_name="id"),
        },
    ),
    (
        "user.fields",
        {"ID": "ID", "PERSONAL_BIRTHDAY": "Born", "UF_DEPARTMENT": "Departments", "UF_SKILLS": "Skills"},
        {
            "ID": Field("ID", "integer", "ID", upper_name="ID"),
            "PERSONAL_BIRTHDAY": Field("PERSONAL_BIRTHDAY", "date", "Born", upper_name="PERSONAL_BIRTHDAY"),
            "UF_DEPARTMENT": Field(
                "UF_DEPARTMENT", "integer", "Departments", multiple=True, upper_name="UF_DEPARTMENT"
            ),
            "UF_SKILLS": Field("UF_SKILLS", "string", "Skills", upper_name="UF_SKILLS"),
        },
    ),
    (
        "lists.field.get",
        {
            "L": {
                "FIELD_ID": "PROPERTY_1151",
                "NAME": "Status",
                "IS_REQUIRED": "Y",
                "MULTIPLE": "N",
                "TYPE": "L",
                "DISPLAY_VALUES_FORM": {"1669": "Planned", "1671": "Active"},
            },
        },
        {
            "ID": Field("ID", "integer", "ID", read_only=True),
            "PROPERTY_1151": Field(
                "PROPERTY_1151",
                "L",
                "Status",
                required=True,
                upper_name="PROPERTY_1151",
                items={"1669": "Planned", "1671": "Active"},
                by_id=True,
            ),
        },
    ),
    (
        "disk.file.getFields",
        {"ID": {"TYPE": "integer", "USE_IN_FILTER": True}, "SIZE": {"TYPE": "integer", "USE_IN_SHOW": True}},
        {
            "ID": Field("ID", "integer", upper_name="ID"),
            "SIZE": Field("SIZE", "integer", upper_name="SIZE"),
        },
    ),
    (
        "main.eventlog.field.list",
        {
            "items": [
                {"name": "id", "type": "int", "title": "id", "filterable": True, "multiple": False},
                {"name": "itemId", "type": "string", "title": "Item", "editable": False, "multiple": True},
            ]
        },
        {
            "id": Field("id", "int", "id", upper_name="id"),
            "itemId": Field("itemId", "string", "Item", multiple=True, read_only=True, upper_name="itemId"),
        },
    ),
    (
        "biconnector.dataset.fields",
        {"fields": [{"title": "sourceId", "type": "integer", "isRequired": True, "isMultiple": False}]},
        {"sourceId": Field("sourceId", "integer", "sourceId", required=True, upper_name="sourceId")},
    ),
]


@pytest.mark.parametrize(("method", "answer", "expected"), ANSWERS, ids=[one[0] for one in ANSWERS])
def test_what_the_methods_answer(method: str, answer: Any, expected: dict[str, Field]) -> None:
    assert parse_fields(method, answer) == expected


@pytest.mark.parametrize("answer", [True, None, "fields", 7, ["id", "title"], {"items": ["id"]}], ids=repr)
def test_answers_that_describe_nothing(answer: Any) -> None:
    with pytest.raises(UnexpectedReplyError, match=r"crm\.deal\.fields"):
        parse_fields("crm.deal.fields", answer)


KINDS = [
    (Field("TITLE", "string"), "string"),
    (Field("STAGE_ID", "crm_status"), "string"),
    (Field("COMPANY_ID", "crm_company"), "integer"),
    (Field("ufCrm1", "enumeration"), "integer"),
    (Field("OPENED", "char"), "boolean"),
    (Field("currency", "char"), "string"),
    (Field("opportunity", "double"), "number"),
    (Field("score", "float"), "number"),
    (Field("BEGINDATE", "date"), "date"),
    (Field("DATE_CREATE", "datetime"), "datetime"),
    (Field("ufCrm2", "money"), "money"),
    (Field("PHONE", "crm_multifield", multiple=True), "json"),
    (Field("contactIds", "crm_contact", multiple=True), "json"),
    (Field("ufCrm3", "file"), "json"),
    (Field("ufCrm4", "rest_123_rating"), "json"),
    (Field("taskControl", "enum", items={"Y": "Yes", "N": "No"}), "boolean"),
    (Field("status", "enum", items={"2": "Pending", "5": "Completed"}), "integer"),
    (Field("mark", "enum", items={"P": "Good", "N": "Bad"}), "string"),
    (Field("TYPE", "enum"), "string"),
]


@pytest.mark.parametrize(("field", "kind"), KINDS, ids=[field.name for field, _ in KINDS])
def test_what_a_column_holds(field: Field, kind: str) -> None:
    assert field.kind == kind
