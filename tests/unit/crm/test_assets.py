"""What methods read and write, as assets of Airflow."""

from __future__ import annotations

import pytest
from airflow.sdk import Asset

from airflow_provider_b24.crm.assets import asset_uri
from airflow_provider_b24.rest.errors import ConfigurationError

PORTAL = "https://Example.bitrix24.com"


@pytest.mark.parametrize(
    ("method", "params", "path"),
    [
        ("crm.item.list", {"entityTypeId": 2}, "crm/deal"),
        ("crm.item.update", {"entityTypeId": "2", "id": 7}, "crm/deal"),
        ("crm.deal.list", None, "crm/deal"),
        ("crm.deal.add", {"fields": {}}, "crm/deal"),
        ("crm.deal.productrows.get", {"id": 1}, "crm/deal/productrows"),
        ("crm.deal.contact.items.get", {"id": 1}, "crm/deal/contact"),
        ("crm.item.list", {"entityTypeId": 1}, "crm/lead"),
        ("crm.item.list", {"entitytypeid": 3}, "crm/contact"),
        ("crm.item.list", {"entityTypeId": 4}, "crm/company"),
        ("crm.item.list", {"entityTypeId": 7}, "crm/quote"),
        ("crm.item.list", {"entityTypeId": 31}, "crm/invoice"),
        ("crm.invoice.list", None, "crm/type/5"),
        ("crm.item.list", {"entityTypeId": 1030}, "crm/type/1030"),
        ("crm.item.productrow.list", {"filter": {}}, "crm/productrow"),
        ("crm.item.list", None, "crm"),
        ("crm.status.list", None, "crm/status"),
        ("crm.activity.list", None, "crm/activity"),
        ("tasks.task.list", None, "tasks/task"),
        ("task.commentitem.getlist", [7], "tasks/task/commentitem"),
        ("user.get", {"ID": 1}, "user"),
        ("lists.element.get", {"IBLOCK_TYPE_ID": "lists", "IBLOCK_ID": 23}, "lists/23"),
        ("lists.element.add", {"IBLOCK_CODE": "Rates"}, "lists/rates"),
        ("catalog.product.list", None, "catalog/product"),
        ("catalog.product.offer.list", None, "catalog/product/offer"),
        ("voximplant.statistic.get", None, "voximplant/statistic"),
        ("profile", None, "profile"),
    ],
)
def test_all_methods_for_a_thing_have_the_same_asset(method, params, path):
    uri = asset_uri(PORTAL, method, params)
    assert uri == f"bitrix24://example.bitrix24.com/{path}"
    # In the spelling that Airflow gives it.
    assert Asset(uri).uri == uri


def test_a_port_is_part_of_the_portal():
    assert asset_uri("http://127.0.0.1:8070", "user.get") == "bitrix24://127.0.0.1:8070/user"


@pytest.mark.parametrize(
    "uri",
    [
        "bitrix24://Example.Bitrix24.com/CRM/Deal/",
        "BITRIX24://example.bitrix24.com:443//crm/deal",
        "bitrix24://somebody@example.bitrix24.com/crm/deal?auth=c0de#x",
    ],
)
def test_an_asset_has_one_spelling(uri):
    assert Asset(uri).uri == "bitrix24://example.bitrix24.com/crm/deal"


@pytest.mark.parametrize(
    "uri", ["bitrix24:///crm/deal", "bitrix24://example.bitrix24.com", "bitrix24://x.bitrix24.com/rest/1/c0dec0de"]
)
def test_what_can_be_none_is_refused_and_not_repeated(uri):
    with pytest.raises(ConfigurationError, match="It looks like bitrix24://") as caught:
        Asset(uri)
    assert "c0de" not in str(caught.value)
