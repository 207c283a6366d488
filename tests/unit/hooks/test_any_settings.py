"""Whatever stands in the fields of a connection, it is understood or refused in our words."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_b24.hooks.settings import EXTRAS, Settings, read_settings
from airflow_provider_b24.rest.errors import ConfigurationError
from tests.portal.rest.leaks import found

CODE = "s3cr3tw3bh00kc0de"
URL = f"https://acme.bitrix24.com/rest/7/{CODE}/"

_text = st.text(max_size=20) | st.sampled_from(
    [
        *(
            "",
            " ",
            "0",
            "-1",
            "1e999",
            "nan",
            "7",
            "true",
            "https",
            "http",
            "localhost",
            "127.0.0.1:80",
            "[::1]",
            "[::1",
        ),
        *("acme.bitrix24.com", "https://acme.bitrix24.com:99999", "пример.рф", "a" * 300, "\ud800", "x\0y", "٧"),
        *("http://u:p@proxy:1", "socks5://x", "enterprise", "unlimited", URL, CODE, f"{URL}profile?x=1", "@", "://"),
    ]
)
_odd = st.none() | st.booleans() | st.integers() | st.floats() | st.lists(_text, max_size=3) | st.binary(max_size=5)


@settings(deadline=None, derandomize="CI" in os.environ)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("host", "schema", "login", "password"), _text),
            "port": st.none() | st.integers(-1, 70_000),
            "extra": st.dictionaries(st.sampled_from(EXTRAS) | _text, _text | _odd, max_size=6),
        },
    )
)
def test_any_connection(fields: dict[str, Any]) -> None:
    try:
        understood = read_settings(**fields)
    except ConfigurationError as error:
        shown = f"{error} {error!r} {error.args}"
    else:
        assert isinstance(understood, Settings)
        shown = repr(understood)
    if str(fields.get("host", "")).strip() != CODE:
        assert found(shown, [CODE]) == []
