"""What is known in one place only."""

import ast
import re
from collections.abc import Iterator

from rules.source import GROUND_FLOOR, Source, Violation

KEY_PREFIX = "ca:"
KEYS_FILE = f"{GROUND_FLOOR}/keys.py"
SETTINGS_FILE = f"{GROUND_FLOOR}/settings.py"
_ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def key_prefix(source: Source) -> Iterator[Violation]:
    """Name Redis keys in keys.py only; Lua gets them through KEYS."""
    if not source.is_product or str(source.path) == KEYS_FILE:
        return
    if source.path.suffix == ".lua":
        for number, line in enumerate(source.lines, start=1):
            if re.search(rf"""["'\[]{KEY_PREFIX}""", line.partition("--")[0]):
                yield source.violation(number, "a key is built in Lua; take it from KEYS")
    elif source.is_python:
        for element in source.elements:
            if not isinstance(element, ast.Constant) or not isinstance(element.value, str | bytes):
                continue
            text = element.value if isinstance(element.value, str) else element.value.decode("latin-1")
            if text.startswith(KEY_PREFIX):
                yield source.violation(element.lineno, f"key {element.value!r}; keys are named in {KEYS_FILE}")


def environment(source: Source) -> Iterator[Violation]:
    """Read the process' environment in settings.py only, so that every setting can be listed with its source."""
    if not source.is_product or not source.is_python or str(source.path) == SETTINGS_FILE:
        return
    for element in source.elements:
        by_attribute = (
            isinstance(element, ast.Attribute)
            and element.attr in _ENVIRONMENT
            and isinstance(element.value, ast.Name)
            and element.value.id == "os"
        )
        by_import = (
            isinstance(element, ast.ImportFrom)
            and element.module == "os"
            and any(alias.name in _ENVIRONMENT for alias in element.names)
        )
        if by_attribute or by_import:
            yield source.violation(getattr(element, "lineno", 1), f"the environment is read outside {SETTINGS_FILE}")
