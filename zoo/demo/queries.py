"""What a request asks for: its query parameters, checked."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request


def check_parameters(request: Request, *known: str) -> None:
    """Refuse a parameter that is not known, or that is given twice.

    Args:
        request: The request.
        *known: The parameters, each with an example of its value, as in ``row=N``.

    Raises:
        HTTPException: There is one (400).
    """
    if unknown := set(request.query_params) - {each.partition("=")[0] for each in known}:
        raise HTTPException(400, f"Unknown parameter {min(unknown)!r}: only {' and '.join(known)} are known.")
    given = [name for name, _ in request.query_params.multi_items()]
    if twice := [name for name in given if given.count(name) > 1]:
        raise HTTPException(400, f"{twice[0]} is given twice: give it once, with commas between several values.")


def requested_names(request: Request, names: Sequence[str]) -> list[str]:
    """Return the members that ``members=a,b`` names, without repetitions; all if there is no such parameter.

    Args:
        request: The request.
        names: The members of this server.

    Raises:
        HTTPException: One is unknown, or none is named (400).
    """
    value = request.query_params.get("members")
    wanted = list(names) if value is None else [name for name in value.split(",") if name]
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise HTTPException(
            400, f"members names {', '.join(unknown) or 'none'}, but the members here are: {', '.join(names)}."
        )
    return list(dict.fromkeys(wanted))


def requested_name(request: Request, names: Sequence[str], parameter: str = "member") -> str:
    """Return the member that ``member=a``, or another parameter, names.

    Raises:
        HTTPException: It is unknown, or none is named (400).
    """
    name = request.query_params.get(parameter, "")
    if name not in names:
        raise HTTPException(400, f"{parameter} names {name or 'none'}, but the members here are: {', '.join(names)}.")
    return name


def requested_number(request: Request, name: str, low: int, high: int, default: int | None = None) -> int:
    """Return a whole number in [low, high].

    Raises:
        HTTPException: It is missing without a default, is no whole number, or is out of range (400).
    """
    value = request.query_params.get(name)
    if value is None and default is not None:
        return default
    if value is None or not value.isascii() or not value.isdecimal() or len(value) > 9 or not low <= int(value) <= high:
        raise HTTPException(400, f"{name} is {value or 'missing'}, but it must be {low} to {high}.")
    return int(value)


def requested_choice(request: Request, name: str, choices: Sequence[str], default: str) -> str:
    """Return one of several words.

    Raises:
        HTTPException: It is another one (400).
    """
    value = request.query_params.get(name, default)
    if value not in choices:
        raise HTTPException(400, f"{name} is {value!r}, but it must be one of {', '.join(choices)}.")
    return value
