"""Time zones by name: IANA names, ``UTC``, ``GMT`` and ``GMT±h:mm``.

Zone data come from the system and, where it has none (slim containers, Windows), from the tzdata package; zoneinfo
looks in that order by itself.
"""

from __future__ import annotations

import difflib
import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from .text_span import Span

ALLOWED = "an IANA name such as Asia/Shanghai, UTC, GMT, or GMT+h:mm / GMT-h:mm such as GMT+8:00"

#: No leading zero in the hour, 0 to 14, and two digits of minutes, as the original service writes it.
_GMT_OFFSET = re.compile(r"GMT([+-])([0-9]|1[0-4]):([0-5][0-9])", re.IGNORECASE)
_GMT_SIGNED = re.compile(r"GMT[+-]", re.IGNORECASE)
#: Names only, never a path: no dots, no leading or doubled slash.
_IANA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
#: Files in a zone folder that mean something else on each machine, or count leap seconds.
_NOT_ZONES = re.compile(r"(localtime|posixrules|Factory)$|(posix|right)/", re.IGNORECASE)


def zone_name(span: Span) -> str:
    """Return the canonical name of the zone a span names; refuse an unknown one with what it may have meant."""
    name = span.text
    if name.upper() in {"UTC", "GMT"}:
        return name.upper()
    if _GMT_OFFSET.fullmatch(name):
        return name.upper()
    if _GMT_SIGNED.match(name) and name not in {"GMT+0", "GMT-0"}:
        raise span.refused(
            f"zone {name!r} is not an offset; write GMT+h:mm or GMT-h:mm, hour 0-14 without a leading zero and two "
            "digits of minutes, such as GMT+8:00"
        )
    if _load(name) is None:
        raise span.refused(f"unknown zone {name!r}{_suggestion(name)}; allowed are {ALLOWED}")
    return name


def zone_named(name: str) -> tzinfo:
    """Return the zone of a canonical name.

    Raises:
        ZoneInfoNotFoundError: this machine has no data for it.
    """
    zone = _load(name)
    if zone is None:
        raise ZoneInfoNotFoundError(
            f"no data for zone {name!r} on this machine; install the tzdata package or the system's zone data"
        )
    return zone


@lru_cache(maxsize=1024)
def _load(name: str) -> tzinfo | None:
    if name in {"UTC", "GMT"}:
        return UTC
    if offset := _GMT_OFFSET.fullmatch(name):
        east = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(east if offset[1] == "+" else -east, name)
    if not _IANA_NAME.fullmatch(name) or _NOT_ZONES.match(name):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # OSError: "America" is a folder. ValueError: a file there that is not zone data.
        return None


def _suggestion(name: str) -> str:
    known = _known_zones()
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)
    return f", did you mean {known[close[0]]}?" if close else ""


@lru_cache(maxsize=1)
def _known_zones() -> dict[str, str]:
    """List the zones by their names in lower case; reading the folders takes 60 ms, so once."""
    return {zone.lower(): zone for zone in available_timezones()}
