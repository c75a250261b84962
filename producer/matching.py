"""Compare what is stored with what a filter asks for. Pure."""

from collections.abc import Mapping


def like(text: str, pattern: str) -> bool:
    """Compare with a pattern in which ``*`` stands for anything; an empty pattern matches all.

    Part by part, each as early as it can be: a regular expression would try every way to share the text among the
    stars, which takes hours for a dozen of them.
    """
    if not pattern:
        return True
    first, *middle = pattern.split("*")
    if not middle:
        return text == pattern
    last = middle.pop()
    if len(first) + len(last) > len(text) or not (text.startswith(first) and text.endswith(last)):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found_at = text.find(part, place, end)
        if found_at < 0:
            return False
        place = found_at + len(part)
    return True


def has_tags(tags: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    """Tell whether every wanted tag is there; a wanted tag without a value matches any."""
    return all(key in tags and (value is None or tags[key] == value) for key, value in wanted.items())
