"""Words: one per idea in names, none of our workplace anywhere."""

import ast
import re
from collections.abc import Iterator

from rules.source import Source, Violation

#: word → what to say instead.
_REPLACEMENTS = {
    "job": "invocation or execution",
    "node": "instance",
    "minion": "instance or agent",
    "util": "a name that says the one job",
    "helper": "a name that says the one job",
}
#: A network address has a host; a machine that we run commands on is an instance.
_NETWORK_MODULES = re.compile(r"redis|http|gateway|url|address|listen|server|socket|network|connection")
#: Half of an address, the other half being a port.
_HOST_NAMES = {"host", "hosts", "hostname"}
_FILE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# Put together here, so that this file does not contain what it forbids.
_WORKPLACE = re.compile(
    "|".join(
        (
            r"\.\./" + "shar" + "ed",
            "/wor" + "k/",
            # The hidden folder of that name; a module that is called so may be imported.
            r"\.libr" + r"ary/|/\.libr" + "ary",
            "farm" + "-(bench|studio)",
            "sub" + "agent",
        )
    )
)


def names(source: Source) -> Iterator[Violation]:
    """Use the glossary's words in the names that we give; other people's names may be used as they are."""
    if not source.is_product or not source.is_python:
        return
    if source.path.stem in _FILE_NAMES:
        yield source.violation(1, f"{source.path.name} says nothing about its one job")
    for line, name in _given_names(source):
        words = [word.lower().removesuffix("s") for word in _WORDS.findall(name)]
        for word in words:
            if word in _REPLACEMENTS:
                yield source.violation(line, f"{name}: say {_REPLACEMENTS[word]}, not {word}")
        if "host" in words and name not in _HOST_NAMES and not _NETWORK_MODULES.search(str(source.path)):
            yield source.violation(line, f"{name}: a machine is an instance; host is for network addresses")


def workplace(source: Source) -> Iterator[Violation]:
    """Keep paths and words of the place where this was written out of the product."""
    for number, line in enumerate(source.lines, start=1):
        found = _WORKPLACE.search(line)
        if found:
            yield source.violation(number, f"{found.group()!r} has no place in the product")


def launched_by_name(source: Source) -> Iterator[Violation]:
    """Never show how to start Celery with ``-m``: that puts the current folder first on the import path."""
    if source.folder != "deploy" and source.path.name != "README.md":
        return
    for number, line in enumerate(source.lines, start=1):
        if re.search(r"python[\d.]* -m celery", line):
            yield source.violation(number, "start our own programs, not Celery with -m")


def _given_names(source: Source) -> Iterator[tuple[int, str]]:
    """(line, name) of everything defined here: functions, classes, parameters, variables, attributes."""
    for element in source.elements:
        if isinstance(element, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield element.lineno, element.name
        elif isinstance(element, ast.arg):
            yield element.lineno, element.arg
        elif isinstance(element, ast.Name) and isinstance(element.ctx, ast.Store):
            yield element.lineno, element.id
        elif isinstance(element, ast.Attribute) and isinstance(element.ctx, ast.Store):
            yield element.lineno, element.attr
