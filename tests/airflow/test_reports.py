"""``@task.bitrix24_report``."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.airflow.client import Run
from tests.airflow.light import INTERVAL, NOTICED
from tests.airflow.stage import BOT, OWNER, Stage

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("long_runs")]

NAMES = ("plain", "asynchronous", "mapping", "failing", "nothing", "by_oauth", "by_bot")
DEAL = 77


class Reports:
    """The run, and a dialog for each of its tasks."""

    def __init__(self, stage: Stage) -> None:
        self.portal = stage.portal
        self.dialogs = {name: self.portal.add_chat(name, members=(OWNER, BOT)) for name in NAMES}
        self.dialogs["of_a_deal"] = self.portal.add_chat(
            "A deal", members=(OWNER, BOT), entity_type="CRM", entity_id=f"DEAL|{DEAL}"
        )
        self.portal.expire_tokens()
        self.run: Run = stage.play("reports", dialogs=self.dialogs, deal=DEAL).run
        self.run.wait()

    def signals(self, name: str) -> list[float]:
        return [signal.time for signal in self.portal.signals(self.dialogs[name])]


@pytest.fixture(scope="module")
def reports(stage: Stage) -> Reports:
    return Reports(stage)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", "Revenue of [b]8[/b] weeks"),
        ("asynchronous", "Report of Anna"),
        ("mapping", "Deals"),
        ("of_a_deal", "The deal is won"),
        ("by_oauth", "With a renewed token"),
        ("by_bot", "Calculated"),
    ],
)
def test_its_result_is_posted_once(reports: Reports, name: str, text: str) -> None:
    (message,) = reports.portal.messages(reports.dialogs[name])
    assert (message.text, message.author_id) == (text, BOT if name == "by_bot" else OWNER)
    assert reports.run.task(name).state == "success"
    assert reports.run.xcom(name) == message.id
    assert len(reports.run.tries(name)) == 1


def test_its_id_goes_to_the_next_task(reports: Reports) -> None:
    (message,) = reports.portal.messages(reports.dialogs["plain"])
    assert reports.run.xcom("takes") == f"posted {message.id}"


@pytest.mark.parametrize("name", ["plain", "asynchronous"])
def test_lit_while_it_works(reports: Reports, name: str) -> None:
    task = reports.run.task(name)
    (message,) = reports.portal.messages(reports.dialogs[name])
    posted = message.date.timestamp()
    marks = [task.start, *reports.signals(name), posted]

    assert marks == sorted(marks)
    assert len(marks) >= 5
    assert max(later - earlier for earlier, later in pairwise(marks)) < INTERVAL + NOTICED


def test_a_mapping_has_all_parameters(reports: Reports) -> None:
    (message,) = reports.portal.messages(reports.dialogs["mapping"])
    assert message.params["ATTACH"] == [{"MESSAGE": "[b]12[/b] won"}]
    assert message.params["KEYBOARD"] == {"BUTTONS": [{"TEXT": "Open", "LINK": "https://example.com/deals"}]}
    assert message.params["URL_PREVIEW"] == "N"


def test_a_failure_posts_nothing_and_puts_the_light_out(reports: Reports) -> None:
    task = reports.run.task("failing")
    assert task.state == "failed"
    assert reports.portal.messages(reports.dialogs["failing"]) == []
    assert not reports.run.has_xcom("failing")
    assert reports.signals("failing")
    assert reports.signals("failing")[-1] < task.start + 5 + NOTICED
    assert reports.signals("failing")[-1] < task.end


@pytest.mark.parametrize(
    ("name", "words"),
    [("nothing", "A report returns its text"), ("forbidden", "Add it to the chat, or use another dialog id.")],
)
def test_what_can_not_be_posted_fails_at_once(reports: Reports, name: str, words: str) -> None:
    assert reports.run.task(name).state == "failed"
    assert len(reports.run.tries(name)) == 1
    assert words in reports.run.log(name)


def test_the_bot_shows_what_it_does(reports: Reports) -> None:
    signals = reports.portal.signals(reports.dialogs["by_bot"])
    assert {(signal.author_id, signal.status) for signal in signals} == {(BOT, "IMBOT_AGENT_ACTION_CALCULATING")}


def test_links_lead_to_the_message_and_to_what_the_chat_is_about(reports: Reports) -> None:
    (message,) = reports.portal.messages(reports.dialogs["of_a_deal"])
    assert reports.run.links("of_a_deal") == {
        "Message in Bitrix24": f"{reports.portal.url}/online/?IM_DIALOG={reports.dialogs['of_a_deal']}"
        f"&IM_MESSAGE={message.id}",
        "CRM card in Bitrix24": f"{reports.portal.url}/crm/deal/details/{DEAL}/",
    }
