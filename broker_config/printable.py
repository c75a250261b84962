"""Text from elsewhere, fit for a terminal."""


def clean(text: str) -> str:
    """Show control characters instead of sending them to a terminal: this text may come from a broken-in machine."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
