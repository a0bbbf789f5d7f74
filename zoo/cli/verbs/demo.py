"""``zoo demo``: serve a web page that classifies a drawing."""

from __future__ import annotations

import socket
import sys

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import list_models, model_info
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError


def run(verb: str, arguments: list[str]) -> int:
    """Serve the page until interrupted, and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo demo",
        description="Start a page on which one draws a digit and every trained member classifies it at once. It needs "
        "the optional packages of `pip install 'mnist-lightning-zoo[demo]'`, and no network.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="the members that classify (default: all that ship)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any that is free (default: 8000)")
    options = parser.parse_args(arguments)
    for name in options.names or list_models(pretrained=True):
        model_info(name)
    if not 0 <= options.port < 65536:
        raise UsageError(f"--port is {options.port}, but it must be 0 to 65535.")
    try:
        import uvicorn

        from zoo.demo.server import make_application
    except ImportError as error:
        raise UsageError(f"`zoo demo` needs {error.name}: pip install 'mnist-lightning-zoo[demo]'.") from error
    from zoo.demo.inference import Predictor

    flush_denormals()
    listener = _listen(options.host, options.port)
    with listener:
        host, port = options.host, listener.getsockname()[1]
        print("Loading the networks …", file=sys.stderr, flush=True)
        application = make_application(Predictor(options.names), _allowed_hosts(host))
        url_host = f"[{host}]" if ":" in host else host
        print(f"Draw at http://{url_host}:{port}/ (Ctrl-C ends it)", flush=True)
        # uvicorn rejects excess requests without the application's error message. Its limit is therefore far above the
        # application's own, MAX_PENDING_REQUESTS.
        config = uvicorn.Config(application, log_level="warning", limit_concurrency=2000, timeout_keep_alive=5)
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host} port {port} ({error.strerror or error}): name another --port or --host."
        ) from error
    return listener


def _allowed_hosts(host: str) -> list[str]:
    """Return the accepted values of the Host header: any value if the server listens for other machines."""
    return ["localhost", "127.0.0.1", "[::1]"] if host in ("127.0.0.1", "localhost", "::1") else ["*"]
