"""Tests of which hosts and sites the server answers."""

from __future__ import annotations

import json

import pytest

from tests.helpers import error_output

pytest.importorskip("uvicorn", reason="needs uvicorn, which is in .[demo]")

from tests.demo.clients import ask, get, picture, serve, status_of
from zoo.demo import serving
from zoo.demo.guard import SECURITY_HEADERS
from zoo.demo.inference import Predictor
from zoo.demo.limits import Limits

LIMITS = Limits()
ACCEPTED = [
    *("localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1", "127.0.0.1:1", "[::1]:8000", "[0:0:0:0:0:0:0:1]"),
    *("digits.example:8000", "192.168.7.7"),
]
REFUSED = ["evil.example", "localhost.evil.example", "evil.example:8000", "10.0.0.1", "", "localhost@evil.example", "*"]


@pytest.mark.parametrize("host", [*ACCEPTED, *REFUSED])
def test_only_hosts_that_name_this_server_are_answered(softmax: Predictor, host: str) -> None:
    with serve(softmax, LIMITS, ["digits.example", "192.168.7.7"]) as port:
        for path in ("/", "/api/members"):
            response = ask(port, get(path, f"Host: {host}\r\n"))
            assert status_of(response) == (200 if host in ACCEPTED else 400)
    if host == "evil.example":
        assert "--allowed_hosts" in json.loads(response.partition(b"\r\n\r\n")[2])["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("", 200),
        ("Origin: http://localhost:8000", 200),
        ("Origin: https://localhost:8000", 200),  # behind a proxy
        ("Origin: http://localhost:8000\r\nSec-Fetch-Site: same-origin", 200),
        ("Sec-Fetch-Site: none", 200),
        ("Origin: http://evil.example", 403),
        ("Origin: http://localhost:3000", 403),
        ("Origin: http://localhost", 403),
        ("Origin: http://localhost:8000.evil.example", 403),
        ("Origin: null", 403),
        ("Origin: file://localhost:8000", 403),
        ("Origin:", 403),
        ("Sec-Fetch-Site: cross-site", 403),
        ("Sec-Fetch-Site: same-site", 403),
    ],
)
def test_pages_of_other_sites_are_not_answered(softmax: Predictor, headers: str, status: int) -> None:
    with serve(softmax, LIMITS) as port:
        lines = "Host: localhost:8000\r\n" + (f"{headers}\r\n" if headers else "")
        body = picture()
        request = f"POST /api/classify HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
        assert status_of(ask(port, request)) == status
        assert status_of(ask(port, get("/api/random", lines))) == status


def test_a_link_from_another_site_opens_the_page(softmax: Predictor) -> None:
    with serve(softmax, LIMITS) as port:
        assert status_of(ask(port, get("/", "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n"))) == 200


@pytest.mark.parametrize("path", ["/", "/js/main.js", "/api/members", "/no-such-file", "/api/classify"])
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_every_response_has_the_security_headers(softmax: Predictor, path: str, host: str) -> None:
    with serve(softmax, LIMITS) as port:
        head = ask(port, get(path, f"Host: {host}\r\n")).partition(b"\r\n\r\n")[0].decode().lower()
    for name, value in SECURITY_HEADERS.items():
        assert f"{name}: {value}".lower() in head
    assert "access-control-" not in head


@pytest.mark.parametrize("host", ["http://digits.example", "digits.example:80", "*", "*.example", "a/b", ""])
def test_what_is_no_host_is_not_allowed(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--allowed_hosts has" in error_output(["demo", "--allowed_hosts", host], capsys)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "0:0::0"])
def test_a_server_for_all_addresses_is_reached_by_the_names_of_the_machine(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "machine_hosts", lambda: ["desk", "192.168.7.7"])
    assert serving.allowed_hosts(host, ["digits.example"]) == ["desk", "192.168.7.7", "desk.local", "digits.example"]
    assert serving.urls(host, 80) == ["http://127.0.0.1:80/", "http://desk:80/", "http://192.168.7.7:80/"]
