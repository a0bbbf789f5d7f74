"""``zoo demo``: serve a web page that classifies a drawing."""

from __future__ import annotations

import sys
import warnings

from zoo.cli.arguments import ShortErrorParser
from zoo.cli.signals import raise_if_received
from zoo.pretrained.registry import list_models
from zoo.pretrained.sources import check_source, is_checkpoint, on_hub
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError
from zoo.utils.wording import install_extra


def run(verb: str, arguments: list[str]) -> int:
    """Serve the page until interrupted, and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo demo",
        description="Start a page on which one draws a digit and every trained member classifies it at once. It needs "
        "no network. If optional packages are missing, it says how they are installed.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="the members that classify (default: all that ship), and checkpoints of your own, as for --model",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, which only this machine reaches; 0.0.0.0 or :: are all)",
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes any that is free (default: 8000)")
    parser.add_argument(
        "--allowed_hosts",
        nargs="+",
        default=[],
        metavar="HOST",
        help="further names or addresses under which browsers reach the page, for example behind a proxy; those of "
        "this machine and of --host are allowed anyway, and others are refused",
    )
    parser.add_argument(
        "--model",
        nargs="+",
        default=[],
        metavar="FILE",
        help="checkpoints of your own networks, shown beside the members, for example "
        "logs/deep_relu_xavier/version_0/checkpoints/last.ckpt",
    )
    options = parser.parse_args(arguments)
    for name in options.names or list_models(pretrained=True):
        check_source(name)
    if not 0 <= options.port < 65536:
        raise UsageError(f"--port is {options.port}, but it must be 0 to 65535.")
    try:
        from zoo.demo.limits import Limits
        from zoo.demo.server import make_application
        from zoo.demo.serving import Server, allowed_hosts, listen, urls
    except ImportError as error:
        raise UsageError(f"`zoo demo` needs {error.name}: {install_extra('demo')}.") from error
    from zoo.demo.inference import Predictor
    from zoo.demo.own_runs import load_own

    # About clients' pictures. Filters that are set where one is decoded do not hold for a second thread.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    own_names = [name for name in options.names if is_checkpoint(name) or on_hub(name)]
    members = [name for name in options.names if name not in own_names]
    own = load_own([*options.model, *own_names], members or list_models(pretrained=True))
    hosts = allowed_hosts(options.host, options.allowed_hosts)
    flush_denormals()
    with listen(options.host, options.port) as listener:
        here, *elsewhere = urls(options.host, listener.getsockname()[1])

        def announce() -> None:
            print(f"Draw at {here} (Ctrl-C ends it)", flush=True)
            if elsewhere:
                print(f"From other machines: {' or '.join(elsewhere)}", flush=True)

        print("Loading the networks …", file=sys.stderr, flush=True)
        limits = Limits()
        application = make_application(Predictor(members, own), hosts, limits)
        raise_if_received()
        Server(application, limits, announce).run([listener])
    return 0
