"""Tests of the addresses that the server listens on and prints."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from tests.helpers import error_output, start_zoo

pytest.importorskip("uvicorn", reason="needs uvicorn, which is in .[demo]")

from zoo.demo.serving import listen, urls
from zoo.utils.errors import UsageError


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


HOSTS = ["127.0.0.1", "0.0.0.0", *(["::1", "::"] if has_ipv6() else [])]


@pytest.mark.parametrize("host", [HOSTS[0], *(pytest.param(host, marks=pytest.mark.slow) for host in HOSTS[1:])])
def test_the_printed_address_answers_as_soon_as_it_is_printed(host: str) -> None:
    process = start_zoo("demo", "softmax", "--port", "0", "--host", host)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[2]
        if host not in ("0.0.0.0", "::"):
            assert address.startswith("http://[::1]:" if ":" in host else f"http://{host}:")
        with urllib.request.urlopen(address, timeout=5) as response:
            assert response.status == 200
    finally:
        process.kill()
        process.communicate()


def test_an_address_in_use_is_reported_before_the_networks_are_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    """Even if the other server has been started a moment ago, and does not answer yet."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        message = error_output(["demo", "--port", str(port)], capsys)
    assert f"Cannot listen on 127.0.0.1 port {port}" in message
    assert "name another --port" in message


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 70, "x" * 5000, "ü.invalid", "1.2.3.4.5"])
def test_a_host_that_is_not_this_machine_is_reported(host: str) -> None:
    with pytest.raises(UsageError, match="Cannot listen on"):
        listen(host, 0)


def test_addresses_of_ipv6_are_written_in_brackets() -> None:
    assert urls("::1", 80) == urls("[::1]", 80) == ["http://[::1]:80/"]
