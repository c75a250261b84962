"""Fingerprints of the functions in Redis, so that nobody changes their text without thinking of its callers.

``python tests/rules/function_fingerprints.py`` renews them.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_FUNCTIONS = Path(__file__).parents[2] / "broker_config" / "functions"
_KEPT = Path(__file__).with_name("function_fingerprints.txt")
_VERSION = "TEXT_VERSION"
_RENEW = "python tests/rules/function_fingerprints.py"


def fingerprint(text: str) -> str:
    """The digest of what Redis executes: comments on lines of their own and blank lines do not count."""
    lines = (line.strip() for line in text.splitlines())
    code = "\n".join(line for line in lines if line and not line.startswith("--"))
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def found() -> dict[str, str]:
    """The version of the text, and each file's fingerprint, as they are now."""
    library = (_FUNCTIONS / "function_library.py").read_text(encoding="utf-8")
    version = re.search(rf"^{_VERSION} = (\d+)$", library, re.MULTILINE)
    assert version, f"function_library.py has no line {_VERSION} = NUMBER"
    texts = {path.name: fingerprint(path.read_text(encoding="utf-8")) for path in sorted(_FUNCTIONS.glob("*.lua"))}
    return {_VERSION: version[1], **texts}


def kept() -> dict[str, str]:
    """The same when somebody last thought of it."""
    lines = _KEPT.read_text(encoding="utf-8").splitlines()
    return {name: value for name, value in (line.split() for line in lines)}


def complaints(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """What differs, and what to do about it."""
    changed = sorted(name for name in {*before, *now} - {_VERSION} if before.get(name) != now.get(name))
    if changed and before[_VERSION] == now[_VERSION]:
        yield (
            f"{', '.join(changed)} changed, and {_VERSION} is still {now[_VERSION]}. Raise it in "
            "broker_config/functions/function_library.py if callers must have the new text (another argument, key, "
            f"field or answer); then, or if not, renew the fingerprints: {_RENEW}"
        )
    elif dict(before) != dict(now):
        yield f"{_VERSION} was raised to {now[_VERSION]}; renew the fingerprints: {_RENEW}"


def renew() -> None:
    """Write down how it is now."""
    _KEPT.write_text("".join(f"{name} {value}\n" for name, value in found().items()), encoding="utf-8")


if __name__ == "__main__":
    renew()
