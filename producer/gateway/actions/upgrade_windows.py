"""Check when agents may be upgraded: ``HH:mm-HH:mm``, each window an hour or longer, at most five."""

import re
from collections.abc import Mapping
from zoneinfo import available_timezones

from ..api_errors import api_error

_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_WINDOWS_COUNT = 5
_DAY_MINUTES = 24 * 60


def check_windows(config: Mapping[str, object]) -> None:
    """Refuse windows and a zone that are not valid.

    Raises:
        ApiError: with the code of what is wrong.
    """
    windows = config.get("AllowedUpgradeWindow") or []
    if not isinstance(windows, list):
        raise api_error("InvalidParameter.AllowedUpgradeWindow", "AllowedUpgradeWindow is not a list.")
    if config.get("Enabled") and not windows:
        raise api_error("InvalidAllowedUpgradeWindow.Required")
    if len(windows) > _WINDOWS_COUNT:
        raise api_error("InvalidAllowedUpgradeWindow.CountLimitExceeded")
    for one in windows:
        found = _WINDOW.fullmatch(str(one))
        if found is None:
            raise api_error("InvalidParameter.AllowedUpgradeWindow", f"{str(one)[:40]!r} is not a window.")
        begin = int(found[1]) * 60 + int(found[2])
        end = int(found[3]) * 60 + int(found[4])
        if (end - begin) % _DAY_MINUTES < 60:
            raise api_error("InvalidAllowedUpgradeWindow.DurationTooShort")
    zone = config.get("TimeZone")
    if zone and (not isinstance(zone, str) or zone not in available_timezones()):
        raise api_error("InvalidParameter.TimeZone")
