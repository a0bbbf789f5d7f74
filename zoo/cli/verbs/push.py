"""``zoo push NAME hf:OWNER/REPO``: upload a trained network to the Hugging Face hub."""

from __future__ import annotations

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.sources import check_source
from zoo.utils.denormals import flush_denormals


def run(verb: str, arguments: list[str]) -> int:
    """Upload the network and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo push",
        description="Upload a trained network to the Hugging Face hub: its weights as safetensors, its class and "
        "arguments, and a model card. It needs the extra `hub`, and a token: `hf auth login`, or HF_TOKEN.",
    )
    parser.add_argument("name", metavar="NAME", help="a trained member, or a checkpoint of `zoo fit`")
    parser.add_argument("address", metavar="hf:OWNER/REPO", help="where it goes; @BRANCH after it names a branch")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    options = parser.parse_args(arguments)
    check_source(options.name)
    from zoo.pretrained.hub import check_installed, parse_address, push

    parse_address(options.address)
    check_installed()
    flush_denormals()
    address = push(options.name, options.address, private=options.private)
    print(f'{options.name} is on the hub: zoo.load_pretrained("{address}")')
    return 0
