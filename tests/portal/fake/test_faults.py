"""Every kind of fault, as it looks from the other end of the socket."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import requests

from airflow_provider_b24.testing import FakePortal, Fault

POST = {"DIALOG_ID": "chat2935", "MESSAGE": "hello"}


@pytest.fixture
def send(portal, call):
    def send(**request):
        address = portal.webhook_url + "im.message.add"
        return call.session.post(address, json=POST, timeout=5, allow_redirects=False, **request)

    return send


def written(portal):
    return len(portal.messages("chat2935"))


def raw_exchange(portal):
    """The bytes that come back, and whether the connection ends with a reset."""
    body = b'{"DIALOG_ID":"chat2935","MESSAGE":"raw"}'
    path = portal.webhook_url.removeprefix(portal.url) + "im.message.add"
    request = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{portal.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    with socket.create_connection(("127.0.0.1", portal.port), timeout=5) as connection:
        connection.sendall(request)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            return received, True
        return received, False


@pytest.mark.parametrize(("fault", "effect"), [(Fault("reset"), 0), (Fault("reset_after"), 1)])
def test_a_reset_is_a_tcp_reset_without_a_byte(portal, fault, effect):
    portal.faults.add(fault)
    assert raw_exchange(portal) == (b"", True)
    assert written(portal) == effect
    assert fault.hits == 1
    assert portal.calls[-1].status is None


@pytest.mark.parametrize(
    ("kind", "status"),
    [("html_500", 500), ("html_502", 502), ("html_503", 503), ("html_504", 504), ("html_200", 200)],
)
@pytest.mark.parametrize("after", [False, True])
def test_pages_in_place_of_json(portal, send, kind, status, after):
    portal.faults.add(Fault(kind, method="im.message.add", after_effect=after))
    reply = send()
    assert (reply.status_code, reply.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert reply.text.startswith("<html>")
    assert written(portal) == after
    assert send().json()["result"]
    assert portal.calls[0].status == status


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("json_500"), 500, "INTERNAL_SERVER_ERROR"),
        (Fault("query_limit"), 503, "QUERY_LIMIT_EXCEEDED"),
        (Fault("query_limit", status=429), 429, "QUERY_LIMIT_EXCEEDED"),
        (Fault("operation_time_limit"), 429, "OPERATION_TIME_LIMIT"),
        (Fault("overload_limit"), 503, "OVERLOAD_LIMIT"),
        (Fault("expired_token"), 401, "expired_token"),
        (Fault("error", code="", description="Wrong DOCUMENT_ID!"), 400, ""),
        (Fault("error", code=100, status=403), 403, 100),
    ],
)
def test_refusals(portal, send, fault, status, code):
    portal.faults.add(fault)
    reply = send()
    assert (reply.status_code, reply.json()["error"]) == (status, code)
    assert reply.json()["error_description"] == (fault.description or reply.json()["error_description"])
    assert written(portal) == 0


def test_half_a_document(portal, send):
    portal.faults.add(Fault("truncated_json", after_effect=True))
    reply = send()
    assert reply.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        reply.json()
    assert reply.text.startswith(f'{{"result":{portal.messages("chat2935")[0].id}')
    portal.faults.add(Fault("truncated_json"))
    with pytest.raises(requests.exceptions.JSONDecodeError):
        send().json()
    assert written(portal) == 1


def test_redirects(portal, send):
    portal.faults.add(Fault("redirect", location="https://other.example/rest/"))
    reply = send()
    assert (reply.status_code, reply.headers["Location"]) == (302, "https://other.example/rest/")
    assert written(portal) == 0


def test_no_answer(portal, send):
    portal.faults.add(Fault("timeout", seconds=0.2))
    started = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        send()
    assert 0.15 < time.monotonic() - started < 3
    portal.faults.add(Fault("timeout", after_effect=True))
    with pytest.raises(requests.ReadTimeout):
        requests.post(portal.webhook_url + "im.message.add", json=POST, timeout=0.2)
    assert written(portal) == 1


def test_slow_and_dripping_answers(portal, send):
    portal.faults.add(Fault("slow", seconds=0.3))
    started = time.monotonic()
    assert send().json()["result"]
    assert time.monotonic() - started >= 0.3
    portal.faults.add(Fault("drip", seconds=0.001))
    started = time.monotonic()
    assert send(stream=True).json()["result"] == portal.messages("chat2935")[-1].id
    assert time.monotonic() - started > 0.2  # over 200 bytes
    assert written(portal) == 2


def test_big_answers(portal, send):
    portal.faults.add(Fault("big", size=300_000))
    reply = send()
    assert len(reply.content) == 300_000
    assert set(reply.json()["result"]) == {"x"}


def test_which_calls_a_fault_befalls(portal, call):
    portal.faults.add(Fault("html_502", method="profile", times=2, skip=1))
    address = portal.webhook_url

    def statuses(name, count):
        return [call.session.post(address + name, json={}, timeout=5).status_code for _ in range(count)]

    assert statuses("server.time", 2) == [200, 200]
    assert statuses("profile", 4) == [200, 502, 502, 200]
    always = portal.faults.add(Fault("html_502", times=None))
    assert statuses("profile", 5) == [502] * 5
    portal.faults.remove(always)
    now_and_then = portal.faults.add(Fault("html_502", times=None, probability=0.3, seed=1))
    first = statuses("profile", 40)
    assert 0 < now_and_then.hits < 40
    portal.faults.clear()
    portal.faults.add(Fault("html_502", times=None, probability=0.3, seed=1))
    assert statuses("profile", 40) == first
    portal.faults.clear()
    portal.faults.add(Fault("html_502", contains="report 7", times=None))
    say = [call.session.post(address + "profile", json={"t": f"«report {n}»"}, timeout=5).status_code for n in (6, 7)]
    assert say == [200, 502]
    with pytest.raises(ValueError, match="unknown kind"):
        Fault("gremlin")


def test_faults_inside_a_batch(portal, call):
    commands = {f"m{number}": f"im.message.add?DIALOG_ID=chat2935&MESSAGE={number}" for number in range(3)}
    portal.faults.add(Fault("json_500", method="im.message.add", in_batch=True, skip=1))
    result = call.result("batch", {"cmd": commands})
    assert {key: error["error"] for key, error in result["result_error"].items()} == {"m1": "INTERNAL_SERVER_ERROR"}
    assert [message.text for message in portal.messages("chat2935")] == ["0", "2"]
    portal.clear()
    portal.faults.add(Fault("operation_time_limit", method="im.message.add", in_batch=True, after_effect=True))
    result = call.result("batch", {"cmd": commands})
    assert list(result["result"]) == ["m1", "m2"]
    assert written(portal) == 3
    portal.clear()
    portal.faults.add(Fault("reset", method="im.message.add", in_batch=True, skip=1, after_effect=True))
    with pytest.raises(requests.ConnectionError):
        call("batch", {"cmd": commands})
    assert [message.text for message in portal.messages("chat2935")] == ["0", "1"]
    assert [one.status for one in portal.calls] == [None, 200, None]


def test_requests_for_tokens_are_recorded_and_can_fail(portal):
    extra = portal.oauth_connection()["extra"]
    query = {"grant_type": "refresh_token"} | {
        name: extra[name] for name in ("client_id", "client_secret", "refresh_token")
    }
    portal.faults.add(Fault("html_500"))  # befalls methods only
    portal.faults.add(Fault("html_502", method="oauth.token"))
    assert requests.get(portal.oauth_url, params=query, timeout=5).status_code == 502
    portal.faults.add(Fault("reset_after", method="oauth.token"))
    with pytest.raises(requests.ConnectionError):
        requests.get(portal.oauth_url, params=query, timeout=5)
    assert requests.get(portal.oauth_url, params=query, timeout=5).json()["error"] == "invalid_grant"
    assert [(one.method, one.status) for one in portal.requests] == [
        ("oauth.token", 502), ("oauth.token", None), ("oauth.token", 400),
    ]  # fmt: skip


def test_a_lost_refusal(portal, send):
    portal.faults.add(Fault("reset_after", method="im.message.add"))
    portal.scopes = ["crm"]
    with pytest.raises(requests.ConnectionError):
        send()
    assert (portal.calls[-1].status, written(portal)) == (None, 0)


def test_a_portal_can_be_started_again(portal, call):
    port = portal.port
    portal.stop()
    portal.start()
    assert call.result("profile")["ID"] == "1"
    assert portal.port != port


def test_the_portal_stops_at_once_whatever_is_open(open_portal):
    portal = open_portal()
    portal.faults.add(Fault("timeout"))
    errors = []

    def wait():
        try:
            requests.post(portal.webhook_url + "profile", json={}, timeout=30)
        except requests.RequestException as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    half_open = socket.create_connection(("127.0.0.1", portal.port))
    half_open.sendall(b"POST /rest/profile HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    events = requests.get(portal.url + "/page/events", stream=True, timeout=30)
    deadline = time.monotonic() + 5
    while not portal.calls and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    started = time.monotonic()
    portal.stop()
    assert time.monotonic() - started < 2
    waiting.join(5)
    assert len(errors) == 1
    half_open.close()
    events.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", portal.port))


def test_a_port_in_use_is_said(portal):
    with pytest.raises(OSError, match="in use"):
        FakePortal(port=portal.port).start()


def test_every_answer_can_be_delayed(open_portal, caller_of):
    call = caller_of(open_portal(latency=0.1))
    started = time.monotonic()
    call("profile")
    assert time.monotonic() - started >= 0.1
