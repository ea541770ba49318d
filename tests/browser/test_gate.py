"""Who reaches a running server: foreign names, origins and frames, ports of this machine, tokens."""

from __future__ import annotations

import base64
import http.client
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.conftest import ROOT, Server, settle, show, start_server
from tests.conftest import ARGUMENTS, CHROMIUM

TOKEN = "a-token-of-tests-0123456789"


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """Another web site, on another port of this machine."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{other.server_port}"
        other.shutdown()


def answer(port: int, path: str = "/", method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """The answer to one request; a header None is left out."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        response = connection.getresponse()
        response.read()
        return response


def handshake(port: int, *headers: str) -> int:
    """The status of a websocket handshake with these headers."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    lines = ["GET /_stcore/stream HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *headers]
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(connection.recv(4096).split(b" ")[1])


def test_a_websocket_opens_for_pages_of_this_server_only(server: Server) -> None:
    port = server.port
    own, local = f"Host: 127.0.0.1:{port}", f"Host: localhost:{port}"
    tried = {
        (own, f"Origin: http://127.0.0.1:{port}"): 101,
        (local, f"Origin: http://localhost:{port}"): 101,
        (f"Host: [::1]:{port}", f"Origin: http://[::1]:{port}"): 101,
        ("Host: evil.example", "Origin: http://evil.example"): 403,
        (f"Host: 127.0.0.1.evil.example:{port}", f"Origin: http://127.0.0.1.evil.example:{port}"): 403,
        (own, "Origin: http://evil.example"): 403,
        (own, "Origin: null"): 403,
        (own,): 403,
        (local, "Origin: http://localhost:9999"): 403,
        (own, f"Origin: http://127.0.0.1:{port + 1}"): 403,
        (own, f"Origin: http://localhost:{port}"): 403,
    }
    assert {headers: handshake(port, *headers) for headers in tried} == tried


def test_pages_and_uploads_answer_under_own_names_only_and_no_page_may_frame_them(server: Server) -> None:
    port = server.port
    for name, status in ((f"127.0.0.1:{port}", 200), (f"localhost:{port}", 200), ("evil.example", 403)):
        for path in ("/", "/Model", "/_stcore/health", "/static/index.html"):
            response = answer(port, path, Host=name)
            assert response.status == status or path.startswith("/static"), (name, path)
            assert response.headers["X-Frame-Options"] == "DENY"
            policy = response.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy
            assert not re.search(r"https?:|\*|'unsafe-eval'|script-src[^;]*unsafe-inline", policy)
    for origin, status in ((f"http://127.0.0.1:{port}", 405), ("http://localhost:9999", 403), (None, 403)):
        named = {} if origin is None else {"Origin": origin}
        assert answer(port, "/", "POST", **named).status == status, origin
        foreign = answer(port, "/_stcore/upload_file/a/b", "PUT", **named)
        assert foreign.status == 403  # with the right origin for want of Streamlit's own token
        assert "Access-Control-Allow-Origin" not in foreign.headers


def test_media_are_data_even_where_they_are_pages(server: Server) -> None:
    policy = answer(server.port, "/media/x.html").headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_a_frame_on_another_site_stays_empty(server: Server, browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    (tmp_path / "index.html").write_text(f"<iframe name=victim src='{server.url()}'></iframe><p>here</p>")
    with site(tmp_path) as other:
        opened: list[str] = []
        page.on("websocket", lambda socket: opened.append(socket.url))
        with page.expect_event("console", lambda said: "frame" in said.text.lower()):
            page.goto(other)
        assert page.frame("victim").locator("[data-testid=stApp]").count() == 0  # type: ignore[union-attr]
        assert opened == []
        show(page, server, "Learn")  # the control: by itself it opens
        assert len(opened) == 1
    context.close()


def test_a_name_that_is_bound_anew_gets_no_page(server: Server, tmp_path: Path, browser: Browser) -> None:
    rebound = browser.browser_type.launch(
        executable_path=CHROMIUM, args=[*ARGUMENTS, "--host-resolver-rules=MAP evil.example 127.0.0.1"]
    )
    try:
        page = rebound.new_page()
        response = page.goto(f"http://evil.example:{server.port}/")
        assert response is not None
        assert response.status == 403
        expect(page.get_by_text("--host NAME")).to_be_visible()
        assert page.get_by_test_id("stApp").count() == 0
    finally:
        rebound.close()


def test_where_others_reach_it_the_app_does_not_start_without_a_token() -> None:
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", "0"]
    done = subprocess.run(
        [*command, "--server.address", "0.0.0.0", "--server.headless", "true"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert re.search(r"nasviz: the app would listen on 0\.0\.0\.0.*--token auto.*--behind-proxy", done.stderr)


def test_with_a_token_the_address_that_holds_it_lets_a_browser_in(browser: Browser, tmp_path: Path) -> None:
    server = start_server(tmp_path, "--token", TOKEN, address="0.0.0.0")
    try:
        port, origin = server.port, f"Origin: http://127.0.0.1:{server.port}"
        assert f"?token={TOKEN}" in server.log.read_text()
        assert answer(port, "/_stcore/health").status == 200
        for path in (
            "/",
            "/Runs?token=wrong",
            "/?token=",
            "/_stcore/host-config",
            "/media/a.bin",
            "/static/x",
        ):
            assert answer(port, path).status == 403, path
        assert answer(port, f"/?token={TOKEN}", Host="evil.example").status == 403
        assert handshake(port, f"Host: 127.0.0.1:{port}", origin) == 403
        let_in = answer(port, f"//evil.example/?model=demonet&token={TOKEN}")
        assert (let_in.status, let_in.headers["Location"]) == (303, "/evil.example/?model=demonet")
        cookie = let_in.headers["Set-Cookie"].partition(";")[0]
        assert answer(port, "/", Cookie=cookie).status == 200
        assert answer(port, "/?token=wrong", Cookie=cookie).status == 403
        assert handshake(port, f"Host: 127.0.0.1:{port}", origin, f"Cookie: {cookie}") == 101
        assert handshake(port, f"Host: 127.0.0.1:{port}", f"Cookie: {cookie}") == 403
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url(f"Learn?token={TOKEN}"))
        expect(page.get_by_role("heading", name="Learn", exact=True)).to_be_visible()
        settle(page)
        assert TOKEN not in page.url
        assert TOKEN not in page.evaluate("document.cookie")
        context.close()
    finally:
        server.stop()


def test_a_page_that_is_started_by_itself_shows_nothing(browser: Browser, tmp_path: Path) -> None:
    server = start_server(tmp_path, script="pages/Model.py")
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(server.url())
        expect(page.get_by_text("nasviz app")).to_be_visible()
        assert page.get_by_test_id("stSidebarUserContent").count() == 0
    finally:
        context.close()
        server.stop()
