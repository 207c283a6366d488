"""What a message about a run shows."""

from __future__ import annotations

import pytest

from airflow_provider_b24.chat.run_message import (
    LANGUAGES,
    Failure,
    RunView,
    Tasks,
    bar,
    check_language,
    parts,
    put_together,
    spell_duration,
    values,
)
from airflow_provider_b24.rest.errors import ConfigurationError

RUNNING = RunView(
    "weekly",
    "manual__1",
    "running",
    Tasks(6, 2, 1, ("load ×3", "transform")),
    text="Reading [b]deals[/b]",
    failures=(Failure("load [2]", "ValueError: bad", 1, 3, True, "http://log"),),
    url="http://run",
)
FAILED = RunView(
    "weekly",
    "manual__1",
    "failed",
    Tasks(21, 20),
    failures=(Failure("load", "ValueError: bad", 3, 3, False, "http://log"),),
    duration=192.4,
    ended=1_790_000_000.4,
    url="http://run",
)

SHOWN = {
    "running": (
        RUNNING,
        """▶️ [b]weekly[/b] is running
▰▰▰▱▱▱▱▱▱▱ 33 % · 2 of 6 tasks · 1 skipped · now: load ×3, transform
Reading [b]deals[/b]
🔁 [b]load [2][/b]: try 1 of 3 failed: ValueError: bad · [url=http://log]log[/url]
[url=http://run]manual__1[/url]""",
        """▶️ [b]weekly[/b] выполняется
▰▰▰▱▱▱▱▱▱▱ 33 % · 2 из 6 задач · пропущено: 1 · сейчас: load ×3, transform
Reading [b]deals[/b]
🔁 [b]load [2][/b]: попытка 1 из 3 не удалась: ValueError: bad · [url=http://log]журнал[/url]
[url=http://run]manual__1[/url]""",
    ),
    "failed": (
        FAILED,
        """❌ [b]weekly[/b] failed after 3 min 12 s
▰▰▰▰▰▰▰▰▰▱ 95 % · 20 of 21 tasks
⚠️ [b]load[/b] failed (try 3 of 3): ValueError: bad · [url=http://log]log[/url]
[url=http://run]manual__1[/url] · [timestamp=1790000000 format=SHORT_TIME_FORMAT]""",
        """❌ [b]weekly[/b]: ошибка через 3 мин 12 с
▰▰▰▰▰▰▰▰▰▱ 95 % · 20 из 21 задачи
⚠️ [b]load[/b]: ошибка (попытка 3 из 3): ValueError: bad · [url=http://log]журнал[/url]
[url=http://run]manual__1[/url] · [timestamp=1790000000 format=SHORT_TIME_FORMAT]""",
    ),
    "success": (
        RunView("weekly", "manual__1", "success", Tasks(1, 1), duration=59.6),
        "✅ [b]weekly[/b] is done in 1 min\n1 of 1 task\nmanual__1",
        "✅ [b]weekly[/b]: готово за 1 мин\n1 из 1 задачи\nmanual__1",
    ),
    "waiting": (
        RunView("weekly", "manual__1", "running", Tasks(4, 2, waiting=("load", "post"))),
        "▶️ [b]weekly[/b] is running\n▰▰▰▰▰▱▱▱▱▱ 50 % · 2 of 4 tasks · waiting for load, post\nmanual__1",
        "▶️ [b]weekly[/b] выполняется\n▰▰▰▰▰▱▱▱▱▱ 50 % · 2 из 4 задач · ожидание: load, post\nmanual__1",
    ),
    "waiting for what is not known": (
        RunView("weekly", "manual__1", "running", Tasks(4, 2)),
        "▶️ [b]weekly[/b] is running\n▰▰▰▰▰▱▱▱▱▱ 50 % · 2 of 4 tasks · waiting\nmanual__1",
        "▶️ [b]weekly[/b] выполняется\n▰▰▰▰▰▱▱▱▱▱ 50 % · 2 из 4 задач · ожидание\nmanual__1",
    ),
    "all tasks done": (
        RunView("weekly", "manual__1", "running", Tasks(11, 11)),
        "▶️ [b]weekly[/b] is running\n▰▰▰▰▰▰▰▰▰▰ 100 % · 11 of 11 tasks\nmanual__1",
        "▶️ [b]weekly[/b] выполняется\n▰▰▰▰▰▰▰▰▰▰ 100 % · 11 из 11 задач\nmanual__1",
    ),
    "queued": (
        RunView("weekly", "manual__1", "queued", Tasks(11)),
        "🕓 [b]weekly[/b] is queued\n▱▱▱▱▱▱▱▱▱▱ 0 % · 0 of 11 tasks\nmanual__1",
        "🕓 [b]weekly[/b] в очереди\n▱▱▱▱▱▱▱▱▱▱ 0 % · 0 из 11 задач\nmanual__1",
    ),
    "nothing known": (
        RunView("weekly", "manual__1", "failed", failures=(Failure("load"),)),
        "❌ [b]weekly[/b] failed\n⚠️ [b]load[/b] failed\nmanual__1",
        "❌ [b]weekly[/b]: ошибка\n⚠️ [b]load[/b]: ошибка\nmanual__1",
    ),
}


@pytest.mark.parametrize(("view", "english", "russian"), SHOWN.values(), ids=SHOWN)
def test_shown(view, english, russian):
    assert put_together(parts(view)) == english
    assert put_together(parts(view, "ru")) == russian


def test_words_of_others_are_shown_as_they_are():
    view = RunView(
        "x[user=all]a[/user]",
        "run[b]",
        "running",
        Tasks(1, 0, 0, ("t[i]",)),
        failures=(Failure("t[s]", "[url=http://bad]look[/url]", 1, 1),),
    )
    shown = put_together(parts(view)) + str(values(view))
    for tag in ("[user", "[/user", "[i]", "[s]", "[url=http://bad"):
        assert tag not in shown
    assert "run[b]" not in shown


def test_progress_that_somebody_tells_goes_before_the_tasks():
    view = RunView("d", "r", "running", Tasks(4, 1), progress=0.999)
    assert parts(view)["bar"] == "▰▰▰▰▰▰▰▰▰▱ 99 % · 1 of 4 tasks · waiting"
    assert parts(RunView("d", "r", "running", progress=7))["bar"] == "▰▰▰▰▰▰▰▰▰▰ 100 %"
    assert parts(RunView("d", "r", "running"))["bar"] == ""


def test_many_tasks_and_failures_are_cut_short():
    view = RunView(
        "d",
        "r",
        "running",
        Tasks(9, 0, 0, tuple(f"t{number}" for number in range(7))),
        failures=tuple(Failure(f"t{number}") for number in range(5)),
    )
    assert "now: t0, t1, t2, t3, t4, and 2 more" in parts(view)["bar"]
    assert parts(view)["failure"].count("failed") == 3


@pytest.mark.parametrize(
    ("seconds", "english", "russian"),
    [
        (0, "0 s", "0 с"),
        (59.4, "59 s", "59 с"),
        (60, "1 min", "1 мин"),
        (192, "3 min 12 s", "3 мин 12 с"),
        (7500, "2 h 5 min", "2 ч 5 мин"),
        (97_200, "1 d 3 h", "1 д 3 ч"),
        (86_400, "1 d", "1 д"),
        (-5, "0 s", "0 с"),
    ],
)
def test_durations(seconds, english, russian):
    assert (spell_duration(seconds), spell_duration(seconds, "ru")) == (english, russian)


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "▱▱▱▱▱▱▱▱▱▱ 0 %"), (0.4, "▰▰▰▰▱▱▱▱▱▱ 40 %"), (0.29, "▰▰▱▱▱▱▱▱▱▱ 29 %"), (1, "▰" * 10 + " 100 %")],
)
def test_bars(share, shown):
    assert bar(share) == shown


def test_states_are_summed_up():
    states = {"plan": "success", "load_0": "running", "load_1": "deferred", "load_2": "skipped", "post_1": "running"}
    states |= {"load_3": "queued", "load_4": "up_for_retry"}
    tasks = Tasks.of({**states, "end": None, "gone": "removed"}, ["plan", "load", "post_1", "end"])
    assert tasks == Tasks(8, 2, 1, ("load ×2", "post_1"), ("load ×2",))


def test_both_languages_say_the_same_things():
    for view, *_ in SHOWN.values():
        assert {key for key, text in parts(view).items() if text} == {
            key for key, text in parts(view, "ru").items() if text
        }
    assert [check_language(language) for language in LANGUAGES] == ["en", "ru"]
    with pytest.raises(ConfigurationError, match="language is 'de'"):
        check_language("de")
