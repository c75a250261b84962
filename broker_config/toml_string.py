"""Write a text as TOML has it."""

import json


def toml_string(text: str) -> str:
    """A text as a TOML string in quotes; TOML knows JSON's escapes, but no pairs of them for one character.

    Raises:
        ValueError: it holds bytes that were no UTF-8.
    """
    text.encode()
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
