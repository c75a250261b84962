"""Text from elsewhere, fit for a terminal."""

import re

#: What JSON may hold as it is, and terminals obey all the same.
_OBEYED_IN_JSON = re.compile("[\x7f-\x9f]")


def clean(text: str) -> str:
    """Show control characters instead of sending them to a terminal: this text may come from a broken-in machine."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def clean_json(text: str) -> str:
    """Write JSON so that no terminal obeys it: the same value, and the same text but for control characters."""
    return _OBEYED_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
