"""What is checked of a message before it is sent."""

from __future__ import annotations

import pytest

from airflow_provider_b24.chat.message import LONGEST_TEXT, check_message_id, message_params
from airflow_provider_b24.rest.errors import ConfigurationError


def test_all_parameters():
    params = message_params(
        "chat5",
        "text",
        attach=[{"MESSAGE": "a"}],
        keyboard={"BUTTONS": []},
        menu=({"TEXT": "m"},),
        system=True,
        url_preview=False,
        reply_id="12",
    )
    assert params == {
        "DIALOG_ID": "chat5",
        "MESSAGE": "text",
        "ATTACH": [{"MESSAGE": "a"}],
        "KEYBOARD": {"BUTTONS": []},
        "MENU": ({"TEXT": "m"},),
        "SYSTEM": "Y",
        "URL_PREVIEW": "N",
        "REPLY_ID": 12,
    }


def test_only_what_was_given_is_sent():
    assert message_params("13", "text") == {"DIALOG_ID": "13", "MESSAGE": "text"}
    assert message_params("13", "text", attach=[], keyboard=None, menu={}) == {"DIALOG_ID": "13", "MESSAGE": "text"}


def test_an_attachment_needs_no_text():
    assert message_params("13", attach=[{"MESSAGE": "a"}]) == {"DIALOG_ID": "13", "ATTACH": [{"MESSAGE": "a"}]}


def test_a_rendered_template_may_be_json_text():
    assert message_params("13", "x", keyboard='[{"TEXT": "a"}]')["KEYBOARD"] == [{"TEXT": "a"}]
    assert message_params("13", attach=' {"BLOCKS": []}')["ATTACH"] == {"BLOCKS": []}
    assert message_params("13", "x", attach="[]", menu="") == {"DIALOG_ID": "13", "MESSAGE": "x"}
    with pytest.raises(ConfigurationError, match="message is empty"):
        message_params("13", attach="{}")


@pytest.mark.parametrize("text", ["[{'MESSAGE': 'a'}]", "None", "5", '"text"', "[" * 99_999], ids=lambda text: text[:9])
def test_another_text_is_none(text):
    with pytest.raises(ConfigurationError, match=r"attach is .* '| tojson'"):
        message_params("13", "x", attach=text)


@pytest.mark.parametrize("nothing", [None, "", "  \n\t"])
def test_neither_text_nor_attachment(nothing):
    with pytest.raises(ConfigurationError, match=r"message is empty, and there is no attach. Give one of the two"):
        message_params("13", nothing)


def test_the_longest_text_fits_and_one_more_does_not():
    assert len(message_params("13", "я" * LONGEST_TEXT)["MESSAGE"]) == 20_000
    with pytest.raises(ConfigurationError, match=r"message has 20,001 characters.* 20,000 .*several messages"):
        message_params("13", "x" * (LONGEST_TEXT + 1))


@pytest.mark.parametrize("message", [5, ["a"], {"a": 1}, b"text", True])
def test_a_text_is_a_text(message):
    with pytest.raises(ConfigurationError, match=rf"message is a {type(message).__name__}. Give a text"):
        message_params("13", message)


@pytest.mark.parametrize("name", ["attach", "keyboard", "menu"])
@pytest.mark.parametrize("value", [5, True, b"[]", {1, 2}, object()])
def test_blocks_are_lists_or_mappings(name, value):
    with pytest.raises(ConfigurationError, match=rf"{name} is a {type(value).__name__}. Give a list"):
        message_params("13", "text", **{name: value})


@pytest.mark.parametrize(("value", "number"), [(5, 5), ("84801", 84801), (" 7 ", 7)])
def test_message_ids(value, number):
    assert check_message_id(value) == number


@pytest.mark.parametrize("value", [0, -1, "0", "x", "", None, True, 5.0, "1.5", "٣", [5], "9" * 5000])
def test_no_message_ids(value):
    with pytest.raises(ConfigurationError, match=r"^reply_id is .*The id of a message is a number"):
        check_message_id(value, "reply_id")
