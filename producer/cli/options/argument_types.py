"""What may be typed for a time, for a tag, and for a text that must not be empty."""

import re
from typing import Any

import click

#: Said of a value that an unset variable leaves.
UNSET = ", as an unset variable leaves it; give a value"
EMPTY = f"it is empty{UNSET}"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?")
_LONGEST_SECONDS = 100 * 366 * 86_400
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in newer clicks only
    """A number of seconds, or with a unit: ``90``, ``10m``, ``2h``, ``30d``."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; a number is taken as it is."""
        if isinstance(value, int | float):
            return float(value)
        found = _DURATION.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not a time: give seconds, or a number with s, m, h or d, as in 10m", param, ctx)
        seconds = float(found[1]) * _UNIT_SECONDS[found[2] or "s"]
        if seconds > _LONGEST_SECONDS:
            self.fail(f"{value[:40]!r} is more than a hundred years", param, ctx)
        return seconds


class Pair(click.ParamType):  # type: ignore[type-arg]  # generic in newer clicks only
    """``key=value``; with ``bare_key`` the key alone is fine too, and its value is ``None``."""

    name = "key=value"

    def __init__(self, *, bare_key: bool = False) -> None:
        self._bare_key = bare_key

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str | None]:
        """Cut at the first equals sign."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not key or not (equals or self._bare_key):
            self.fail(f"{value!r} is not {'key or ' if self._bare_key else ''}key=value", param, ctx)
        return key, text if equals else None


def mapping(
    ctx: click.Context, parameter: click.Parameter, pairs: tuple[tuple[str, str | None], ...]
) -> dict[str, str | None]:
    """Gather the pairs of a repeated option; for use as its callback.

    Raises:
        BadParameter: a key is given twice.
    """
    gathered: dict[str, str | None] = {}
    for key, text in pairs:
        if key in gathered:
            raise click.BadParameter(f"{key!r} is given twice", ctx, parameter)
        gathered[key] = text
    return gathered


def filled(_context: click.Context, _parameter: click.Parameter, given: str | None) -> str:
    """Refuse an empty value where none at all means more: any instance, the agent's user, now; for use as a callback.

    Raises:
        BadParameter: it is empty.
    """
    if given is not None and not given.strip():
        raise click.BadParameter(f"{EMPTY}, or leave the option out")
    return given or ""


def filled_each(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """As ``filled``, for an option that may be repeated."""
    return tuple(filled(context, parameter, one) for one in given)
