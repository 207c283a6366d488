"""The bucket, the operating budget and the writing indicator, by a clock that the test moves."""

from __future__ import annotations

import pytest


@pytest.fixture
def limited(open_portal, clock, caller_of):
    portal = open_portal(bucket=(5, 2.0), clock=clock)
    return portal, caller_of(portal)


def statuses(call, count):
    return [call("server.time")[0] for _ in range(count)]


def test_the_bucket_overflows_and_leaks(limited, clock):
    call = limited[1]
    assert statuses(call, 7) == [200] * 5 + [503] * 2
    assert call.refusal("server.time") == (503, "QUERY_LIMIT_EXCEEDED")
    clock.forward(0.5)
    assert statuses(call, 2) == [200, 503]
    clock.forward(100)
    assert statuses(call, 6) == [200] * 5 + [503]


def test_refused_requests_may_fill_it_too(limited, clock):
    portal, call = limited
    portal.bucket.count_refused = True
    statuses(call, 9)
    assert portal.bucket.level() == 9
    clock.forward(2)
    assert statuses(call, 1) == [503]
    clock.forward(5)
    assert statuses(call, 1) == [200]


def test_a_batch_is_one_request(limited):
    portal, call = limited
    call.result("batch", {"cmd": [f"server.time?{number}" for number in range(50)]})
    assert portal.bucket.level() == 1


def test_connections_tell_the_plan(limited, portal):
    assert "plan" not in limited[0].connection()["extra"]
    assert portal.connection()["extra"]["plan"] == "unlimited"


def test_the_operating_budget(open_portal, clock, caller_of):
    portal = open_portal(operating_limit=480.0, clock=clock)
    call = caller_of(portal)
    portal.costs["crm.item.list"] = 20.0
    started = clock.now
    for number in range(25):  # the example of the documentation: 400 s, then 500 s
        _, answer = call("crm.item.list", {"entityTypeId": 2})
        assert answer["time"]["operating"] == 20.0 * (number + 1)
        assert answer["time"]["operating_reset_at"] == int(started) + 600
        clock.forward(20)
    assert call.refusal("crm.item.list", {"entityTypeId": 2}) == (429, "OPERATION_TIME_LIMIT")
    assert call("profile")[0] == 200
    result = call.result("batch", {"cmd": {"a": "crm.item.list?entityTypeId=2", "b": "profile"}})
    assert result["result_error"]["a"]["error"] == "OPERATION_TIME_LIMIT"
    assert set(result["result"]) == {"b"}
    clock.now = started + 599
    assert call("crm.item.list", {"entityTypeId": 2})[0] == 429
    clock.now = started + 600  # the first minute's 60 s fall away
    assert call("crm.item.list", {"entityTypeId": 2})[1]["time"]["operating"] == 460.0


@pytest.fixture
def writing(open_portal, clock, caller_of):
    portal = open_portal(clock=clock)
    call = caller_of(portal)
    return portal, lambda: call.result("im.dialog.writing", {"DIALOG_ID": "chat2935"}), call


def test_the_light_goes_out_after_25_seconds(writing, clock):
    portal, write, _ = writing
    start = clock.now
    write()
    assert portal.lit_share("chat2935", start, start + 25) == 1.0
    assert portal.lit_share("chat2935", start, start + 50) == 0.5
    assert portal.lit_share("chat2935", start - 25, start) == 0.0
    assert portal.lit_share("sg17", start, start + 25) == 0.0


def test_signals_renew_the_light(writing, clock):
    portal, write, _ = writing
    start = clock.now
    for _ in range(4):
        write()
        clock.forward(20)
    assert portal.lit_share("chat2935", start, start + 85) == 1.0
    clock.forward(20)
    write()
    assert portal.lit_share("chat2935", start, start + 125) == pytest.approx(110 / 125)


def test_the_authors_message_puts_it_out(writing, clock):
    portal, write, call = writing
    start = clock.now
    write()
    clock.forward(5)
    portal.add_message("chat2935", 3, "somebody else's message does not")
    clock.forward(5)
    call.result("im.message.add", {"DIALOG_ID": "chat2935", "MESSAGE": "x"})
    assert portal.lit_share("chat2935", start, start + 20) == 0.5
    write()  # at the same moment, but after the message
    assert portal.lit_share("chat2935", start, start + 20) == 1.0
    portal.clear()
    assert portal.lit_share("chat2935", start, start + 20) == 0.0


def test_a_bot_says_how_long(writing, clock):
    portal, _, call = writing
    bot = portal.bot_connection()["extra"]
    start = clock.now

    def notify(duration):
        params = {"botId": bot["bot_id"], "botToken": bot["bot_token"], "dialogId": "chat2935", "duration": duration}
        call.result("imbot.v2.Chat.InputAction.notify", params)

    notify(100)
    assert portal.lit_share("chat2935", start, start + 200) == 0.5
    clock.forward(10)
    notify(10)  # a new signal restarts the timer, even with less
    assert portal.lit_share("chat2935", start, start + 40) == 0.5


def test_two_authors_are_one_light(writing, clock):
    portal, write, call = writing
    start = clock.now
    write()
    clock.forward(10)
    bot = portal.bot_connection()["extra"]
    params = {"botId": bot["bot_id"], "botToken": bot["bot_token"], "dialogId": "chat2935", "duration": 30}
    call.result("imbot.v2.Chat.InputAction.notify", params)
    assert portal.lit_share("chat2935", start, start + 80) == 0.5
    with pytest.raises(ValueError, match="must come after"):
        portal.lit_share("chat2935", start, start)
