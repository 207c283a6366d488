from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.address import Address, is_loopback
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://acme.bitrix24.com", "https://acme.bitrix24.com"),
        ("HTTPS://Acme.Bitrix24.COM:443/rest/1/x/", "https://acme.bitrix24.com"),
        ("https://acme.bitrix24.com:8443", "https://acme.bitrix24.com:8443"),
        ("https://портал.рф", "https://xn--80awhdgm.xn--p1ai"),
        ("https://user:word@acme.example", "https://acme.example"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://[0:0:0:0:0:0:0:1]", "https://[::1]"),
        ("https://10.0.0.7", "https://10.0.0.7"),
        ("https://my_portal.corp.example", "https://my_portal.corp.example"),
    ],
)
def test_what_an_address_is_made_of(url: str, text: str) -> None:
    assert str(Address.of_url(url)) == text


def test_equal_whatever_the_spelling() -> None:
    assert Address("HTTPS", " Acme.Example ", 443) == Address.of_url("https://acme.example/")


@pytest.mark.parametrize(
    "url",
    ["", "acme.bitrix24.com", "/rest/1/x", "https://", "https://[::1", "https://host:port", "https://host:99999"],
)
def test_no_url_of_a_portal(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Address.of_url(url)


@pytest.mark.parametrize(
    "host",
    [
        *("", " ", "a b", "a/b", "a@b", "-a.example", "a-.example", "a..b", "a" * 64 + ".example"),
        *("x." * 130 + "example", "а" * 64 + ".рф", "fe80::1%eth0", "host\nname", "*"),
    ],
)
def test_no_host_name(host: str) -> None:
    with pytest.raises(ConfigurationError):
        Address("https", host)


@pytest.mark.parametrize("scheme", ["", "ftp", "file", "https "])
def test_other_schemes_are_refused(scheme: str) -> None:
    with pytest.raises(ConfigurationError):
        Address(scheme, "acme.example")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_no_port(port: int) -> None:
    with pytest.raises(ConfigurationError):
        Address("https", "acme.example", port)


@pytest.mark.parametrize(
    "host",
    [
        *("acme.bitrix24.com", "10.0.0.7", "192.168.1.1", "localhost.example", "127.0.0.1.nip.io", "portal.localhost"),
        *(
            "localhost.",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "0.0.0.0",
            "[::]",
            "[fe80::1]",
            "localhost。evil",
        ),
    ],
)
def test_http_is_refused_off_this_machine(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigurationError, match="clear"):
        Address("http", host)


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        # a renamed cloud portal stays in the vendor's family
        ("https://old.bitrix24.com", "https://new.bitrix24.com", True),
        ("https://old.bitrix24.ru", "https://new.bitrix24.com.br", True),
        ("https://old.bitrix24.com", "https://bitrix24.com", False),
        ("https://old.bitrix24.com", "https://new.bitrix24.com.evil.example", False),
        ("https://old.bitrix24.com", "https://evilbitrix24.com", False),
        ("https://old.bitrix24.com", "https://portal.acme.example", False),
        ("https://portal.acme.example", "https://new.bitrix24.com", False),
        # another portal stays where it is, or goes below
        ("https://portal.acme.example", "https://portal.acme.example:8443", True),
        ("https://acme.example", "https://portal.acme.example", True),
        ("https://portal.acme.example", "https://b24.acme.example", False),
        ("https://portal.acme.example", "https://acme.example", False),
        ("https://portal.acme.example", "https://evilportal.acme.example", False),
        ("https://portal.acme.example", "https://portal.acme.example.evil.example", False),
        ("https://acme.dyndns.example", "https://evil.dyndns.example", False),
        ("https://acme.co.uk", "https://evil.co.uk", False),
        ("https://10.0.0.7", "https://10.0.0.7:8443", True),
        ("https://10.0.0.7", "https://10.0.0.8", False),
        ("https://10.0.0.7", "https://167772167", False),
        ("https://[2001:db8::7]", "https://[2001:db8::8]", False),
        ("https://intranet", "https://intranet:8443", True),
        ("https://intranet", "https://evil.intranet", False),
        ("https://intranet", "https://other", False),
        ("https://пример.example", "https://xn--e1afmkfd.example", True),
        # this machine
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001", True),
        ("http://127.0.0.1:8000", "http://localhost:8001", True),
        ("http://127.0.0.1:8000", "https://127.0.0.1:8001", True),
        ("https://127.0.0.1:8000", "http://127.0.0.1:8001", False),
        ("http://127.0.0.1:8000", "http://localhost.evil:8001", None),
        ("http://127.0.0.1:8000", "http://evil.localhost:8001", None),
        ("http://127.0.0.1:8000", "https://new.bitrix24.com", False),
        ("https://old.bitrix24.com", "https://127.0.0.1:8000", False),
    ],
)
def test_which_redirects_may_carry_the_secret(old: str, new: str, *, allowed: bool | None) -> None:
    if allowed is None:
        with pytest.raises(ConfigurationError):
            Address.of_url(new)
    else:
        assert Address.of_url(old).may_become(Address.of_url(new)) is allowed


@pytest.mark.parametrize(
    ("new", "allowed"),
    [
        ("https://acme.example", True),
        ("https://acme.example:8443", True),
        ("https://b24.acme.example", True),
        ("https://evilacme.example", False),
        ("https://acme.example.evil.example", False),
        ("https://example", False),
        ("https://10.0.0.8", True),
        ("https://110.0.0.8", False),
        ("https://intranet", True),
        ("https://evil.intranet", False),
        ("https://user:word@acme.example", True),
        ("https://acme.example@evil.example", False),
        ("https://acme.example\\@evil.example", False),
    ],
)
@pytest.mark.parametrize("old", ["https://old.bitrix24.com", "https://portal.other.example", "http://127.0.0.1:8000"])
def test_hosts_that_the_user_allows(old: str, new: str, *, allowed: bool) -> None:
    hosts = ("acme.example", "10.0.0.8", "intranet")
    assert Address.of_url(old).may_become(Address.of_url(new), hosts) is allowed
    assert not Address.of_url(old).may_become(Address.of_url(new))


def test_what_the_user_allows_is_allowed_by_https_only() -> None:
    assert not Address.of_url("https://acme.example").may_become(Address.of_url("http://localhost"), ("localhost",))


@given(st.text())
def test_any_text_as_a_url(text: str) -> None:
    for url in (text, f"https://{text}", f"https://acme.example/{text}"):
        try:
            address = Address.of_url(url)
        except Bitrix24Error:
            continue
        assert Address.of_url(str(address)) == address
