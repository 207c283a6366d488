"""Addresses, encodings, credentials and the envelope."""

from __future__ import annotations

import re

import pytest
import requests


def test_the_envelope_of_an_answer(call, portal):
    status, answer = call("server.time")
    assert status == 200
    assert set(answer) == {"result", "time"}
    assert set(answer["time"]) == {
        "start", "finish", "duration", "processing", "date_start", "date_finish", "operating", "operating_reset_at",
    }  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+03:00", answer["result"])
    assert answer["time"]["operating_reset_at"] - answer["time"]["start"] == pytest.approx(600, abs=1)


@pytest.mark.parametrize("suffix", ["", ".json", ".json?unknown=1"])
def test_methods_answer_with_and_without_the_suffix(call, portal, suffix):
    assert call("profile" + suffix)[1]["result"]["ID"] == "1"
    assert portal.calls[-1].method == "profile"


def test_xml_is_not_served(call):
    assert call("profile.xml")[0] == 400


@pytest.mark.parametrize("name", ["no.such.method", "PROFILE", "im.dialog.Writing", "imbot.v2.chat.message.send"])
def test_unknown_methods_and_other_letter_cases(call, name):
    assert call.refusal(name) == (404, "ERROR_METHOD_NOT_FOUND")


def test_a_wrong_webhook_is_refused_before_the_method_is_looked_up(portal):
    for path in ("/rest/1/0123456789abcdef/profile", "/rest/2/" + portal.access.webhook_code + "/no.such.method"):
        reply = requests.post(portal.url + path, json={}, timeout=10)
        assert (reply.status_code, reply.json()["error"]) == (401, "INVALID_CREDENTIALS")
    for version in ("", "api/"):
        reply = requests.post(f"{portal.url}/rest/{version}profile", json={}, timeout=10)
        assert (reply.status_code, reply.json()["error"]) == (401, "NO_AUTH_FOUND")


def test_scopes(call, portal):
    portal.scopes = ["crm"]
    assert call.result("scope") == ["crm"]
    assert "telephony" in call.result("scope", {"full": True})
    assert call.refusal("im.dialog.writing", {"DIALOG_ID": "chat2935"}) == (403, "insufficient_scope")
    assert call.result("method.get", {"name": "im.dialog.writing"}) == {"isExisting": True, "isAvailable": False}
    assert call.result("method.get", {"name": "crm.item.list"}) == {"isExisting": True, "isAvailable": True}
    assert call.result("method.get", {"name": "nope"}) == {"isExisting": False, "isAvailable": False}


def test_json_form_multipart_and_query_say_the_same(portal, call):
    address = portal.webhook_url + "crm.item.add"
    nested = {"entityTypeId": "2", "fields[title]": "Tom & Jerry [50%]", "fields[opportunity]": "12.5"}
    json_body = {"entityTypeId": 2, "fields": {"title": "Tom & Jerry [50%]", "opportunity": 12.5}}
    replies = [
        requests.post(address, json=json_body, timeout=10),
        requests.post(address, data=nested, timeout=10),
        requests.post(address, files={key: (None, value) for key, value in nested.items()}, timeout=10),
        requests.get(address, params=nested, timeout=10),
        requests.post(address, params=nested, timeout=10),
    ]
    items = [reply.json()["result"]["item"] for reply in replies]
    assert [item["title"] for item in items] == ["Tom & Jerry [50%]"] * 5
    assert [item["opportunity"] for item in items] == [12.5] * 5
    assert len({item["id"] for item in items}) == 5
    assert portal.calls[1].params == portal.calls[3].params
    assert portal.calls[1].content_type == "application/x-www-form-urlencoded"


def test_php_lists_in_a_form(call, portal):
    portal.add_deals(3)
    body = "entityTypeId=2&select[]=id&select[]=title&order[id]=DESC&filter[@id][0]=1&filter[@id][1]=3"
    reply = requests.post(
        portal.webhook_url + "crm.item.list",
        data=body,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        timeout=10,
    )
    assert [set(item) for item in reply.json()["result"]["items"]] == [{"id", "title"}] * 2
    assert [item["id"] for item in reply.json()["result"]["items"]] == [3, 1]
    assert portal.calls[-1].params["filter"] == {"@id": ["1", "3"]}


def test_a_json_body_without_its_content_type_is_not_read(portal):
    reply = requests.post(portal.webhook_url + "im.dialog.writing", data=b'{"DIALOG_ID":"chat2935"}', timeout=10)
    assert reply.json()["error"] == "DIALOG_ID_EMPTY"


def test_oauth_tokens(portal):
    extra = portal.oauth_connection()["extra"]

    def profile(**request):
        reply = requests.post(portal.url + "/rest/profile", timeout=10, **request)
        return reply.status_code, reply.json().get("error")

    assert profile(json={"auth": extra["access_token"]}) == (200, None)
    assert profile(params={"auth": extra["access_token"]}) == (200, None)
    assert profile(data={"auth": extra["access_token"]}) == (200, None)
    assert profile(headers={"Authorization": f"Bearer {extra['access_token']}"}) == (401, "NO_AUTH_FOUND")
    portal.expire_tokens()
    assert profile(json={"auth": extra["access_token"]}) == (401, "expired_token")

    query = {
        "grant_type": "refresh_token",
        "client_id": extra["client_id"],
        "client_secret": extra["client_secret"],
        "refresh_token": extra["refresh_token"],
    }
    renewed = requests.get(extra["oauth_url"], params=query, timeout=10).json()
    assert renewed["client_endpoint"] == portal.url + "/rest/"
    assert renewed["expires_in"] == 3600
    assert renewed["refresh_token"] != extra["refresh_token"]
    assert profile(json={"auth": renewed["access_token"]}) == (200, None)

    def refused(**changes):
        reply = requests.get(extra["oauth_url"], params=query | changes, timeout=10)
        return reply.status_code, reply.json()["error"]

    assert refused() == (400, "invalid_grant")  # a refresh token is good once
    assert refused(client_secret="wrong") == (400, "invalid_client")
    assert refused(client_id="local.wrong") == (200, "wrong_client")
    assert refused(grant_type="password") == (400, "invalid_request")


def test_access_tokens_grow_old_by_the_clock(open_portal, clock):
    portal = open_portal(clock=clock)
    body = {"auth": portal.oauth_connection()["extra"]["access_token"]}
    clock.forward(3599)
    assert requests.post(portal.url + "/rest/profile", json=body, timeout=10).status_code == 200
    clock.forward(1)
    assert requests.post(portal.url + "/rest/profile", json=body, timeout=10).json()["error"] == "expired_token"


def test_the_authorization_code(open_portal, clock):
    portal = open_portal(clock=clock)
    portal.access.redirect_uri = "http://127.0.0.1:1/callback"
    address = portal.url + "/oauth/authorize/"
    query = {"client_id": portal.access.client_id, "state": "a b"}

    def code():
        reply = requests.get(address, params=query, allow_redirects=False, timeout=10)
        assert reply.status_code == 302
        assert "state=a+b" in reply.headers["Location"]
        return re.findall(r"code=(\w+)", reply.headers["Location"])[0]

    def exchange(given):
        query = {
            "grant_type": "authorization_code",
            "client_id": portal.access.client_id,
            "client_secret": portal.access.client_secret,
            "code": given,
        }
        return requests.get(portal.oauth_url, params=query, timeout=10).json()

    first = code()
    assert exchange(first)["access_token"]
    assert exchange(first)["error"] == "invalid_grant"
    late = code()
    clock.forward(30)
    assert exchange(late)["error"] == "invalid_grant"
    assert requests.get(address, params={"client_id": "x"}, timeout=10).status_code == 400


def test_a_renamed_portal_redirects(portal, call):
    old = portal.webhook_url
    new = portal.rename()
    reply = requests.post(old + "profile?a=1", json={}, allow_redirects=False, timeout=10)
    assert (reply.status_code, reply.headers["Location"]) == (
        302,
        f"{new}/rest/1/{portal.access.webhook_code}/profile?a=1",
    )
    assert new != old.partition("/rest/")[0]
    assert call.result("profile")["ID"] == "1"
    portal.rename("localhost")
    assert portal.webhook_url.startswith("http://localhost:")
    assert requests.get(new + "/rest/profile", allow_redirects=False, timeout=10).status_code == 302


def test_what_is_recorded_of_a_call(call, portal):
    call("im.dialog.writing", {"DIALOG_ID": "chat2936"})
    record = portal.calls[-1]
    assert (record.method, record.version, record.http_method, record.in_batch) == (
        "im.dialog.writing", 2, "POST", False,
    )  # fmt: skip
    assert (record.status, record.error) == (403, "ACCESS_ERROR")
    assert record.params == {"DIALOG_ID": "chat2936"}
    assert record.body == b'{"DIALOG_ID": "chat2936"}'
    assert record.headers["content-type"] == record.content_type == "application/json"
    call("profile")
    assert portal.calls[-1].source_port == record.source_port  # one kept connection
    portal.clear()
    assert portal.calls == []


def test_version_3(call, portal):
    status, answer = call.v3("tasks.task.get", {"id": 8293, "select": ["id", "title", "responsible.name", "nope"]})
    assert status == 200
    assert answer["result"] == {
        "item": {"id": 8293, "title": "Weekly sales report", "responsible": {"name": "Daniel Kim"}}
    }

    def code(params, method="tasks.task.get"):
        status, answer = call.v3(method, params)
        assert "error_description" not in answer
        return status, answer["error"]["code"].removeprefix("BITRIX_REST_V3_EXCEPTION_")

    invalid = (400, "VALIDATION_REQUESTVALIDATIONEXCEPTION")
    assert code({}) == invalid
    assert call.v3("tasks.task.get", {})[1]["error"]["validation"][0]["field"] == "id"
    assert code({"id": "8293"}) == invalid
    assert code({"id": 1}) == (400, "ENTITYNOTFOUNDEXCEPTION")
    assert code({"id": 8293, "select": ["responsible.stage"]}) == (400, "UNKNOWNDTOPROPERTYEXCEPTION")
    assert code({"filter": [["title", "x"]]}, "tasks.task.list") == invalid
    assert code({"filter": [["id", "~", 1]]}, "tasks.task.list") == (400, "UNKNOWNFILTEROPERATOREXCEPTION")
    assert code({"order": {"id": "down"}}, "tasks.task.list") == (400, "INVALIDORDEREXCEPTION")
    assert code({"pagination": {"limit": "abc"}}, "tasks.task.list") == (400, "INVALIDPAGINATIONEXCEPTION")
    assert code({"pagination": {"limit": 1001}}, "tasks.task.list") == (400, "INVALIDPAGINATIONEXCEPTION")
    portal.scopes = ["task"]
    assert code({"id": 8293}) == (403, "INSUFFICIENTSCOPEEXCEPTION")


def test_version_3_reads_json_bodies_only(portal):
    address = portal.webhook_url.replace("/rest/", "/rest/api/") + "tasks.task.get"
    assert requests.get(address, params={"id": 8293}, timeout=10).json()["error"]["validation"][0]["field"] == "id"
    form = requests.post(address, data={"id": 8293}, timeout=10).json()
    assert form["error"]["code"] == "BITRIX_REST_V3_EXCEPTION_INVALIDJSONEXCEPTION"
    token = portal.oauth_connection()["extra"]["access_token"]
    app = portal.url + "/rest/api/tasks.task.get"
    assert requests.post(app, params={"auth": token}, json={"id": 8293}, timeout=10).status_code == 401
    assert requests.post(app, json={"id": 8293, "auth": token}, timeout=10).json()["result"]["item"]["id"] == 8293


def test_version_3_pages(call):
    def ids(**params):
        return [item["id"] for item in call.v3("tasks.task.list", params)[1]["result"]["items"]]

    assert ids() == [8291, 8293, 8295, 8297, 8299]
    assert ids(pagination={"limit": 2, "page": 2}) == [8295, 8297]
    assert ids(pagination={"limit": 2, "offset": 4}) == [8299]
    assert ids(filter=[["id", ">", 8293]], order={"id": "DESC"}) == [8299, 8297, 8295]
    assert ids(filter=[["id", [8291, 8299]]]) == [8291, 8299]
    assert ids(filter={"logic": "or", "conditions": [["id", 8291], ["id", 8295]]}) == [8291, 8295]
    assert set(call.v3("tasks.task.list", {})[1]) == {"result", "time"}
