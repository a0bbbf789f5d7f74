"""Words of messages."""

from __future__ import annotations


def with_article(name: str) -> str:
    """Return the name of a class or a type with ``a`` or ``an`` before it, as one says it: an MLP, a DBN, an int."""
    spelled = name[:2].isupper() and name[0] in "AEFHILMNORSX"
    return f"an {name}" if spelled or (not name[:2].isupper() and name[:1].lower() in "aeio") else f"a {name}"


def counted(number: float, noun: str) -> str:
    """Return how many of something there are, such as ``1 error`` or ``1,234 errors``.

    Args:
        number: A whole number.
        noun: In the singular; its plural ends in s.
    """
    return f"{number:,.0f} {noun}{'s' * (number != 1)}"


def install_extra(name: str) -> str:
    """Return how optional packages are installed: ``install the zoo with its extra …``."""
    return f'install the zoo with its extra `{name}`, in a clone by `pip install -e ".[{name}]"`'
