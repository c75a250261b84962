"""What code must not do, wherever it stands."""

import ast
import re
from collections.abc import Iterator

from rules.source import Source, Violation

# Put together here, so that this file does not contain what it forbids.
_MARKS = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
_UNFINISHED = re.compile(rf"\b({'|'.join(_MARKS)})\b")
_CODE_SUFFIXES = {".py", ".lua", ".sh", ".ps1", ".js", ".html", ".css", ".toml", ".service", ""}
_BROAD = {"Exception", "BaseException"}


def no_sleep_in_tests(source: Source) -> Iterator[Violation]:
    """Wait for a condition (``harness.eventually``), never for a time."""
    if source.folder != "tests" or not source.is_python or "harness" in source.path.parts:
        return
    for element in source.elements:
        by_attribute = (
            isinstance(element, ast.Attribute)
            and element.attr == "sleep"
            and isinstance(element.value, ast.Name)
            and element.value.id == "time"
        )
        by_import = (
            isinstance(element, ast.ImportFrom)
            and element.module == "time"
            and any(alias.name == "sleep" for alias in element.names)
        )
        if by_attribute or by_import:
            yield source.violation(getattr(element, "lineno", 1), "a test sleeps; use harness.eventually")


def no_broad_except(source: Source) -> Iterator[Violation]:
    """Catch what can be handled; everything only at a process' edge, marked ``# outermost: reason``.

    A handler that ends in a bare ``raise`` hides nothing and is fine.
    """
    if not source.is_python:
        return
    for element in source.elements:
        if not isinstance(element, ast.ExceptHandler) or not _is_broad(element.type):
            continue
        last = element.body[-1]
        passes_on = isinstance(last, ast.Raise) and last.exc is None
        if not passes_on and not source.has_note(r"\boutermost\b.*: *\w", element.lineno):
            yield source.violation(element.lineno, "catches everything without '# outermost: reason'")


def nothing_unfinished(source: Source) -> Iterator[Violation]:
    """Leave no mark of work to be done in the code: finish it or file it."""
    if source.path.suffix not in _CODE_SUFFIXES:
        return
    for number, line in enumerate(source.lines, start=1):
        found = _UNFINISHED.search(line)
        if found:
            yield source.violation(number, f"unfinished: {found.group()}")


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    if isinstance(caught, ast.Tuple):
        return any(_is_broad(element) for element in caught.elts)
    return isinstance(caught, ast.Name) and caught.id in _BROAD
