"""Which program runs a script file, with which arguments; pure, but for the question whether a program is there.

The interpreter is executed with the file as its argument and the file itself never is, so a folder on a ``noexec``
mount is no obstacle.
"""

import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from .not_started import EXECUTION_EXCEPTION, NotStarted

DEFAULT_INTERPRETER = "/bin/sh"

_SCRIPT_NAME = re.compile(r"\{\{\s*ACS::ScriptFileName\s*(?:\|\s*Ext\(\s*[\"']([^\"'{}]*)[\"']\s*\)\s*)?\}\}")
_EXTENSION = re.compile(r"\.?[A-Za-z0-9_-]{1,16}(?:\.[A-Za-z0-9_-]{1,16})?")
#: Stands for the file's path while a launcher is split into words; a private-use character is in no real path.
_PATH_MARK = "\ue000"


def shebang_words(content: bytes) -> list[str]:
    """Return the words after ``#!`` on the first line, empty when there are none."""
    if not content.startswith(b"#!"):
        return []
    line = os.fsdecode(content[2:].split(b"\n", 1)[0].rstrip(b"\r"))
    words = line.split()
    if len(words) > 1 and Path(words[0]).name == "env":
        return _env_words(words[0], line.split(maxsplit=1)[1])
    return words


def _env_words(env: str, rest: str) -> list[str]:
    """Resolve ``env`` ourselves for the common forms, so that a missing program is reported by its name."""
    split_option = re.match(r"(?:-S\s*|--split-string[=\s]\s*)", rest)
    words = _split(rest[split_option.end() :] if split_option else rest, "first line")
    if not words or words[0].startswith("-") or "=" in words[0]:
        return [env, *words]
    return words


def interpreter_arguments(content: bytes, *, search_path: str) -> list[str]:
    """Return the interpreter of the script's first line as an absolute path, then its options.

    Raises:
        NotStarted: the interpreter is not on this instance; the text names it.
    """
    words = shebang_words(content) or [DEFAULT_INTERPRETER]
    if any("\0" in word for word in words):
        raise NotStarted(EXECUTION_EXCEPTION, "the script's first line names its interpreter with a NUL byte in it")
    return [find_program(words[0], search_path, said_by="the script's first line"), *words[1:]]


def launcher_extension(launcher: str) -> str:
    """Return the file extension that a launcher asks for, with its dot, or an empty string.

    Raises:
        NotStarted: the extension is no plain file extension.
    """
    found = _SCRIPT_NAME.search(launcher)
    extension = (found.group(1) or "") if found else ""
    if not extension:
        return ""
    if not _EXTENSION.fullmatch(extension):
        raise NotStarted(EXECUTION_EXCEPTION, f"launcher asks for the file extension {extension!r}; use one like .py")
    return "." + extension.removeprefix(".")


def launcher_arguments(launcher: str, script_path: str, *, search_path: str) -> list[str]:
    """Split a launcher into words, never by a shell, with the script's path in place of its placeholder.

    A launcher without placeholder gets the path as its last word.

    Raises:
        NotStarted: it cannot be split, or its program is not on this instance.
    """
    words = launcher_words(launcher, script_path, split=lambda text: _split(text, "launcher"))
    return [find_program(words[0], search_path, said_by="the launcher"), *words[1:]]


def launcher_words(launcher: str, script_path: str, *, split: Callable[[str], list[str]]) -> list[str]:
    """Return a launcher's words with the script's path in place of its placeholder, or as the last one.

    Raises:
        NotStarted: it names no program.
    """
    words = split(_SCRIPT_NAME.sub(_PATH_MARK, launcher))
    if not words:
        raise NotStarted(EXECUTION_EXCEPTION, "the launcher is blank; leave it empty or name a program")
    if not any(_PATH_MARK in word for word in words):
        words.append(_PATH_MARK)
    words = [word.replace(_PATH_MARK, script_path) for word in words]
    if words[0] == script_path:
        raise NotStarted(EXECUTION_EXCEPTION, f"the launcher {launcher!r} names no program before the script's file")
    return words


def find_program(name: str, search_path: str, *, said_by: str) -> str:
    """Return the absolute path of an executable program.

    Raises:
        NotStarted: it is missing or not executable; the text says which and who named it.
    """
    if "/" in name and not name.startswith("/"):
        raise NotStarted(EXECUTION_EXCEPTION, f"{said_by} names {name!r}; give an absolute path or a bare name")
    found = _at(name) if name.startswith("/") else shutil.which(name, path=search_path)
    if found is None:
        where = "" if name.startswith("/") else f" in {search_path}"
        raise NotStarted(
            EXECUTION_EXCEPTION,
            f"interpreter {name!r}, named by {said_by}, does not exist or cannot be executed{where}; install it",
        )
    return found


def _at(path: str) -> str | None:
    """Return the path of a program that is there; ``shutil.which`` takes twice as long for that, at every script."""
    return path if os.access(path, os.X_OK) and not os.path.isdir(path) else None  # noqa: PTH112 - paths as strings


def _split(text: str, whose: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise NotStarted(EXECUTION_EXCEPTION, f"the {whose} {text!r} cannot be split into words: {exc}") from exc
