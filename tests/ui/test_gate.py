"""Whom the server answers: names, origins and tokens, one request at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nasviz.errors import InvalidSettingError
from nasviz.ui.gate import Rules
from nasviz.ui.options import Options, parse
from nasviz.ui.serving import require_guarded

TOKEN = "0123456789abcdef-0123"


def scope(host: str | None, origin: str | None = None, *, kind: str = "http", **other: Any) -> dict[str, Any]:
    headers = [(b"host", host.encode())] if host is not None else []
    headers += [(b"origin", origin.encode())] if origin is not None else []
    base = {"type": kind, "method": "GET", "path": "/", "headers": headers, "server": ("127.0.0.1", 8501)}
    return base | other


def rules(*arguments: str, address: str | None = "127.0.0.1") -> Rules:
    return Rules.of(parse(arguments), address)


@pytest.mark.parametrize(
    ("host", "is_answered"),
    [
        ("localhost:8501", True),
        ("LOCALHOST:8501", True),
        ("127.0.0.1:8501", True),
        ("127.0.0.1", True),
        ("[::1]:8501", True),
        ("evil.example", False),
        ("evil.example:8501", False),
        ("127.0.0.1.evil.example:8501", False),
        ("localhost.evil.example", False),
        ("evillocalhost", False),
        ("localhost:8501@evil.example", False),
        ("user@localhost:8501", False),
        ("localhost:8501, evil.example", False),
        ("127.1:8501", False),
        ("2130706433:8501", False),
        ("[::ffff:127.0.0.1]:8501", False),
        ("192.168.1.9:8501", False),
        ("", False),
        (None, False),
    ],
)
def test_only_names_of_this_machine_are_answered(host: str | None, is_answered: bool) -> None:
    assert (rules().refusal(scope(host)) is None) is is_answered


def test_a_host_that_is_named_twice_is_not_answered() -> None:
    twice = scope("localhost")
    twice["headers"].append((b"host", b"evil.example"))
    assert rules().refusal(twice) is not None


def test_the_operator_adds_names_and_an_address_of_this_machine_is_one() -> None:
    more = rules(
        "--host", "Nasviz.Example.org", "--host", "[2001:db8::7]", "--token", TOKEN, address="0.0.0.0"
    )
    titles = {
        host: refusal.title if (refusal := more.refusal(scope(host))) else None
        for host in ("nasviz.example.org:8501", "[2001:db8::7]", "evil.example", "0.0.0.0:8501")
    }
    needed, unknown = "Token needed", "Unknown host name"
    assert list(titles.values()) == [needed, needed, unknown, unknown]
    arrived = scope("192.168.1.9:8501", server=("192.168.1.9", 8501))
    refusal = more.refusal(arrived)
    assert refusal is not None
    assert refusal.title == needed


@pytest.mark.parametrize(
    ("host", "origin", "is_answered"),
    [
        ("localhost:8501", "http://localhost:8501", True),
        ("127.0.0.1:8501", "http://127.0.0.1:8501", True),
        ("[::1]:8501", "http://[::1]:8501", True),
        ("localhost", "http://localhost:80", True),
        ("localhost:8501", None, False),
        ("localhost:8501", "null", False),
        ("localhost:8501", "", False),
        ("localhost:8501", "http://localhost:9999", False),
        ("localhost:8501", "http://localhost", False),
        ("localhost:8501", "http://127.0.0.1:8501", False),
        ("127.0.0.1:8501", "http://127.0.0.1.evil.example:8501", False),
        ("127.0.0.1:8501", "http://evil.example", False),
        ("127.0.0.1:8501", "file://", False),
        ("127.0.0.1:8501", "http://127.0.0.1:8501/path", False),
        ("127.0.0.1:8501", "http://evil.example@127.0.0.1:8501", False),
        ("127.0.0.1:8501", "ftp://127.0.0.1:8501", False),
    ],
)
def test_what_changes_something_comes_from_a_page_of_this_server(
    host: str, origin: str | None, is_answered: bool
) -> None:
    for request in (scope(host, origin, kind="websocket"), scope(host, origin, method="PUT")):
        assert (rules().refusal(request) is None) is is_answered
    if origin is not None:
        assert (rules().refusal(scope(host, origin)) is None) is is_answered  # a script that reads


def test_two_origins_are_none() -> None:
    twice = scope("localhost:8501", "http://localhost:8501", kind="websocket")
    twice["headers"].append((b"origin", b"http://evil.example"))
    assert rules().refusal(twice) is not None


def test_a_proxy_that_sends_its_own_host_header_keeps_the_origin_of_its_pages() -> None:
    behind = rules("--behind-proxy", "--host", "nasviz.example.org", address="0.0.0.0")
    asked = {
        origin: behind.refusal(scope("127.0.0.1:8501", origin, kind="websocket")) is None
        for origin in (
            "https://nasviz.example.org", "http://nasviz.example.org:8080", "https://evil.example", "null"
        )
    }  # fmt: skip
    assert list(asked.values()) == [True, False, False, False]
    alone = rules("--host", "nasviz.example.org")
    assert alone.refusal(scope("127.0.0.1:8501", "https://nasviz.example.org", kind="websocket"))


def test_a_cookie_is_no_token_and_belongs_to_one_port() -> None:
    guarded = rules("--token", TOKEN)
    cookie = guarded.cookie(scope("localhost:8501"))
    assert "HttpOnly" in cookie
    assert "SameSite" in cookie
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    for value, is_answered in ((pair, True), (f"a=b; {pair}", True), (pair[:-1], False), (f"x{pair}", False)):
        request = scope("localhost:8501")
        request["headers"].append((b"cookie", value.encode()))
        assert (guarded.refusal(request) is None) is is_answered
        request["server"] = ("127.0.0.1", 8502)
        assert guarded.refusal(request) is not None
    assert "Secure" not in cookie
    assert "Secure" in guarded.cookie(scope("localhost:8501", scheme="https"))


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.9", "::", "nasviz.example.org", None])
def test_a_server_that_others_reach_needs_a_token_or_a_proxy(address: str | None) -> None:
    with pytest.raises(InvalidSettingError, match="--token auto"):
        require_guarded(parse([]), address)
    require_guarded(parse(["--token", "auto"]), address)
    require_guarded(parse(["--behind-proxy"]), address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_on_this_machine_alone_no_token_is_asked_for(address: str) -> None:
    require_guarded(Options(Path("runs")), address)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--token", "short"],
        ["--token", "with a blank in it"],
        ["--host", "http://x"],
        ["--host", "x:80"],
        ["--hos", "x"],
    ],
)
def test_options_that_would_not_mean_what_they_say_are_refused(arguments: list[str]) -> None:
    with pytest.raises(InvalidSettingError):
        parse(arguments)


def test_a_drawn_token_is_new_each_time_and_in_no_repr() -> None:
    one, two = parse(["--token", "auto"]), parse(["--token", "auto"])
    assert one.token != two.token
    assert one.token is not None
    assert len(one.token) > 40
    assert one.token not in repr(one)
