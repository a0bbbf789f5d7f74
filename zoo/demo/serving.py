"""The process that serves the demo: its socket, its addresses, and the server with its limits."""

from __future__ import annotations

import dataclasses
import ipaddress
import resource
import socket
from collections.abc import Callable, Sequence

import uvicorn
from starlette.applications import Starlette

from zoo.demo.connections import LimitedConnection
from zoo.demo.limits import Limits
from zoo.utils.errors import UsageError

OTHER_FILES = 200
"""Open files that are no connections."""


class Server(uvicorn.Server):
    """Serves an application within limits.

    Args:
        application: The application.
        limits: The limits of the server.
        announce: Called as soon as the server answers.
    """

    def __init__(self, application: Starlette, limits: Limits, announce: Callable[[], None]) -> None:
        limits = dataclasses.replace(limits, max_connections=_allow_connections(limits.max_connections))
        config = uvicorn.Config(
            application,
            http=type("Connection", (LimitedConnection,), {"limits": limits}),
            ws="none",
            lifespan="off",
            log_level="error",  # warnings are about clients
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=limits.max_connections,
            timeout_keep_alive=limits.keep_alive,
        )
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, and announce it."""
        await super().startup(sockets)
        self._announce()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Clients that connect now are answered when the server runs.

    Raises:
        UsageError: The address is not one of this machine, or the port is in use or not allowed.
    """
    try:
        family, *_, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _cannot_listen(host, port, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # :: includes the addresses of IPv4
        listener.bind(address)
        listener.listen(Limits().max_connections)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from error
    return listener


def urls(host: str, port: int) -> list[str]:
    """Return the addresses of the page: one that answers on this machine, and then those for other machines."""
    hosts = ["127.0.0.1", *machine_hosts()] if listens_everywhere(host) else [host.strip("[]")]
    return [f"http://[{each}]:{port}/" if ":" in each else f"http://{each}:{port}/" for each in hosts]


def listens_everywhere(host: str) -> bool:
    """Return whether a host stands for all addresses of this machine, as ``0.0.0.0`` and ``::`` do."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def machine_hosts() -> list[str]:
    """Return this machine's name and the address that other machines reach it at, as far as they are known."""
    hosts = [socket.gethostname()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation; no packet is sent
            hosts.append(probe.getsockname()[0])
        except OSError:  # no network
            pass
    return hosts


def allowed_hosts(host: str, others: Sequence[str]) -> list[str]:
    """Return the accepted values of the Host header, besides those that are always accepted.

    Args:
        host: What the server listens on.
        others: Names and addresses that the user allows.

    Raises:
        UsageError: One of them has a scheme, a port or a path.
    """
    for other in others:
        if not other or set(other) & set("/*@ ") or (":" in other and not _is_address(other)):
            raise UsageError(f"--allowed_hosts has {other!r}: give names and addresses alone, such as digits.example.")
    if not listens_everywhere(host):
        return [host, *others]
    names = machine_hosts()
    return [*names, f"{names[0]}.local", *others]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _allow_connections(wanted: int) -> int:
    """Raise this process's limit of open files, and return how many connections are possible, at most ``wanted``.

    As many connections again may have been accepted before the first of them is counted.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * wanted + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(wanted, (soft - OTHER_FILES) // 2))
    return wanted


def _cannot_listen(host: str, port: int, error: Exception) -> UsageError:
    reason = getattr(error, "strerror", None) or error
    return UsageError(f"Cannot listen on {host} port {port} ({reason}): name another --port or --host.")
