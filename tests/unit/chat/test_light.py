"""When typing signals are due, against a time that is told."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest

from airflow_provider_b24.chat.signals import INTERVAL, LASTS, LONGEST, STATUSES, check_interval, check_status
from airflow_provider_b24.chat.typing import Bot, Light, foreseen, lasting, signal
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    Bitrix24Error,
    ConfigurationError,
    LowBucketError,
    NotSentError,
    OutcomeUnknownError,
)
from airflow_provider_b24.rest.protocol import Priority


def signals_of(light: Light, end: float, *, lost: tuple[int, ...] = (), start: float = 0.0) -> list[float]:
    """When signals go out by the light, until ``end``; those with these numbers fail."""
    now, sent = start, []
    while now < end:
        pause = light.wait(now)
        if pause is None:
            break
        if pause:
            now += pause
            continue
        sent.append(now)
        if len(sent) - 1 in lost:
            light.failed(now, NotSentError("no connection"))
        else:
            light.sent(now)
    return [round(time, 3) for time in sent]


def test_the_first_signal_is_due_at_once_and_the_others_every_interval():
    assert signals_of(Light("chat5"), 50) == [0, 12, 24, 36, 48]
    assert signals_of(Light("chat5", 24), 1e9 + 50, start=1e9) == [1e9, 1e9 + 24, 1e9 + 48]


def test_one_lost_signal_leaves_no_gap():
    sent = signals_of(Light("chat5"), 100, lost=(2,))
    taken = [time for index, time in enumerate(sent) if index != 2]
    assert max(later - earlier for earlier, later in pairwise(taken)) < LASTS
    # and the next try comes sooner than the next turn
    assert sent[:4] == [0, 12, 24, 28]


def test_no_more_signals_than_it_takes_to_be_lit_until_the_end():
    assert signals_of(Light("chat5", until=30), 1000) == [0, 12]
    assert signals_of(Light("chat5", until=25), 1000) == [0]
    assert signals_of(Light("chat5", until=26), 1000) == [0, 12]
    assert signals_of(Light("chat5", until=-1), 1000) == []


def test_until_the_end_in_spite_of_losses():
    assert signals_of(Light("chat5", until=30), 1000, lost=(1, 2)) == [0, 12, 16, 20]


def of_a_bot(until: float | None = None) -> Light:
    light = Light("chat5", until=until)
    light.most = LONGEST
    return light


def test_a_bot_needs_one_signal_for_ten_minutes():
    assert signals_of(of_a_bot(until=2), 1e4) == [0]
    assert signals_of(of_a_bot(until=600), 1e4) == [0]
    assert signals_of(of_a_bot(until=1500), 1e4) == [0, 588, 1176]
    assert signals_of(of_a_bot(until=1500), 1e4, lost=(1, 2)) == [0, 588, 592, 596, 1184]


def test_a_bots_last_signal_lasts_until_the_end():
    light = of_a_bot(until=1500)
    assert [light.span(now) for now in (0, 588, 1176, 1500, 1600)] == [600, 600, 324, 0, 0]
    assert Light("chat5", until=1500).span(1490) == LASTS, "of an account, nobody can say how long"
    forever = of_a_bot()
    forever.most = 41
    assert forever.span(1e6) == 41


def test_what_is_lit_already_needs_no_signal():
    light = of_a_bot(until=120)
    light.lit(120)
    assert light.wait(0) is None
    light = of_a_bot(until=1000)
    light.lit(600)
    assert light.wait(0) == 588
    assert not light.ripe(581)
    assert light.ripe(582)


def test_it_waits_what_is_left():
    light = Light("chat5")
    light.sent(100.0)
    assert light.wait(100.0) == 12
    assert light.wait(109.5) == 2.5
    assert light.wait(112.0) == 0
    assert light.wait(1000.0) == 0


def test_a_failure_is_told_once(caplog):
    caplog.set_level(logging.DEBUG)
    light = Light("chat5")
    light.failed(0, NotSentError("the connection was refused", advice=""))
    light.failed(4, OutcomeUnknownError("no answer within 5 s"))
    light.sent(8)
    light.failed(20, NotSentError("the connection was refused"))
    told = [(record.levelname, record.message) for record in caplog.records]
    assert told == [
        (
            "WARNING",
            "The typing indicator of chat5 could not be lit; the work goes on without it. the connection was refused",
        )
    ]
    assert light.wait(24) == 0


def test_a_skipped_signal_is_no_reason_for_a_warning(caplog):
    caplog.set_level(logging.DEBUG)
    Light("chat5").failed(0, LowBucketError("skipped, for the request limit is nearly used up"))
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_a_skipped_signal_does_not_hide_a_failure(caplog):
    caplog.set_level(logging.DEBUG)
    light = Light("chat5")
    for error in (LowBucketError("skipped"), LowBucketError("skipped"), AccessDeniedError("no"), NotSentError("no")):
        light.failed(0, error)
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


def test_a_permanent_failure_ends_it(caplog):
    light = Light("chat5")
    light.failed(0, AccessDeniedError("Action unavailable", code="ACCESS_ERROR"))
    assert light.wait(100) is None
    assert "is given up" in caplog.text


def test_a_lost_answer_does_not_end_it():
    light = Light("chat5")
    error = OutcomeUnknownError("no answer")
    error.permanent = True
    light.failed(0, error)
    assert light.wait(0) == INTERVAL / 3


def test_what_nobody_foresaw_is_told_by_its_kind_and_tried_again(caplog):
    error = foreseen(RuntimeError("with a s3cret in it"))
    assert str(error) == "unforeseen RuntimeError"
    light = Light("chat5")
    light.failed(0, error)
    assert light.wait(4) == 0
    assert "s3cret" not in caplog.text
    assert foreseen(error) is error
    assert Bitrix24Error.permanent, "only the one error is changed, not its class"


@pytest.mark.parametrize(("value", "seconds"), [(2, 2.0), (12, 12.0), (24, 24.0), (7.5, 7.5)])
def test_intervals(value, seconds):
    assert check_interval(value) == seconds


@pytest.mark.parametrize("value", [0, 1.99, 24.1, 25, -12, float("nan"), float("inf"), True, "12", None])
def test_no_intervals(value):
    with pytest.raises(ConfigurationError, match=r"^interval is .* from 2 to 24 seconds"):
        check_interval(value)


@pytest.mark.parametrize("written", ["PROCESSING", "processing", " Processing ", "IMBOT_AGENT_ACTION_PROCESSING"])
def test_statuses(written):
    assert check_status(written) == "PROCESSING"


@pytest.mark.parametrize("value", ["", "DREAMING", "IMBOT_AGENT_ACTION_", None, 5])
def test_no_statuses(value):
    with pytest.raises(ConfigurationError) as caught:
        check_status(value)
    assert str(caught.value).startswith(f"status is {value!r}. It is one of ")
    assert all(status in str(caught.value) for status in STATUSES)


def test_a_signal_as_the_user():
    call = signal("chat5", status="PROCESSING", duration=60)
    assert (call.method, call.params, call.priority) == ("im.dialog.writing", {"DIALOG_ID": "chat5"}, Priority.TYPING)


def test_a_signal_as_a_bot():
    call = signal("chat5", bot=Bot(101, "t0ken"), status="processing")
    assert call.method == "imbot.v2.Chat.InputAction.notify"
    assert call.params == {
        "botId": 101,
        "dialogId": "chat5",
        "botToken": "t0ken",
        "statusMessageCode": "IMBOT_AGENT_ACTION_PROCESSING",
        "duration": 25,
    }
    assert "t0ken" not in repr(call)
    assert "t0ken" not in repr(Bot(101, "t0ken"))


def test_how_long_a_signal_lasts_is_said_when_it_is_sent():
    call = signal("chat5", bot=Bot(101))
    assert lasting(call, 324.4).params == {"botId": 101, "dialogId": "chat5", "duration": 324}
    account = signal("chat5")
    assert lasting(account, 324.4) is account


@pytest.mark.parametrize(("duration", "sent"), [(0.2, 1), (49.4, 49), (601, 600)])
def test_a_bots_signal_lasts_what_the_vendor_allows(duration, sent):
    call = signal("chat5", bot=Bot(101), duration=duration)
    assert call.params == {"botId": 101, "dialogId": "chat5", "duration": sent}
