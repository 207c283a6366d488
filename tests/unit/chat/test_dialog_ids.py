"""What names a dialog, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.chat.dialogs import FORMATS, check_dialog_id, is_reference
from airflow_provider_b24.rest.errors import ConfigurationError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("chat2935", "chat2935"),
        ("sg17", "sg17"),
        ("13", "13"),
        (13, "13"),
        ("  chat2935\n", "chat2935"),
        ("deal:1663", "deal:1663"),
        ("lead:1", "lead:1"),
        ("contact:25", "contact:25"),
        ("company:7", "company:7"),
        ("task:8293", "task:8293"),
        ("group:133", "group:133"),
        ("user:13", "user:13"),
        ("user:anna@example.com", "user:anna@example.com"),
        ("user:Anna.Petrova+b24@example.com", "user:Anna.Petrova+b24@example.com"),
        ("user:Anna Petrova", "user:Anna Petrova"),
        ('user:"Madonna"', 'user:"Madonna"'),
        ("head:Sales", "head:Sales"),
        ("head:Sales / Example Ltd", "head:Sales / Example Ltd"),
        ("responsible:deal:1663", "responsible:deal:1663"),
        ("responsible:task:8293", "responsible:task:8293"),
    ],
)
def test_names_a_dialog(value, text):
    assert check_dialog_id(value) == text


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "0", 0, -5, "-5", "+5", True, False, None, 13.0, [], {}, b"chat1",
        "chat", "chat0", "chat01", "CHAT12", "Chat12", "chat 12", "chat12 13", "chat12\n13", "chat-1", "chat1.0",
        "sg0", "SG5", "sg", "12chat", "chat٣", "١٢", "chat" + "9" * 20,
        "deal", "deal:", "deal:x", "deal:0", "deal:-1", "deal: 5", "Deal:5", "deals:5", "deal:5:6", "deal:٣",
        "user:", "user:x", "user:@", "user:a@", "user:@b", "user:a b@c.d", "user:a@b@c", "task:", ":5", "chat:5",
        "user: Anna Petrova", "user:Anna\nPetrova", "user:\"\"", "head:", "head: Sales", "head:\n", "department:Sales",
        "responsible:", "responsible:1663", "responsible:deal", "responsible:deal:x", "responsible:group:5",
        "https://example.bitrix24.com/online/?IM_DIALOG=chat5",
    ],
)  # fmt: skip
def test_names_no_dialog(value):
    with pytest.raises(ConfigurationError) as caught:
        check_dialog_id(value)
    assert f"dialog_id is {value!r}" in str(caught.value)
    assert FORMATS in str(caught.value)
    for form in ("'chat2935'", "'sg17'", "'13'", "'deal:1663'"):
        assert form in str(caught.value)


def test_the_argument_is_called_what_the_caller_calls_it():
    with pytest.raises(ConfigurationError, match=r"^where is 'x'"):
        check_dialog_id("x", "where")


@given(st.text(max_size=30) | st.integers() | st.floats() | st.booleans() | st.none())
def test_anything_at_all_is_an_id_or_an_error(value):
    try:
        text = check_dialog_id(value)
    except ConfigurationError:
        return
    assert text == str(value).strip()
    assert check_dialog_id(text) == text


def test_references_are_those_the_portal_has_to_be_asked_for():
    assert is_reference("deal:1663")
    assert is_reference("user:13")
    assert not is_reference("chat2935")
    assert not is_reference("13")
