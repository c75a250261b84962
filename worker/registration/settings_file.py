"""Put this instance's identity into its settings file, without touching what a person wrote there."""

import re
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from ...broker_config.errors import Refused, SettingsInvalid
from ...broker_config.files.private_file import write_private_file
from ...broker_config.toml_string import toml_string


def registered_instance(path: Path) -> str:
    """The id of the instance that a settings file belongs to; ``""`` when it holds no credentials.

    Raises:
        SettingsInvalid: it cannot be read.
    """
    parsed = _parsed(path, _text(path))
    security = parsed.get("security")
    has_key = isinstance(security, dict) and security.get("instance_key")
    return str(parsed.get("instance_id", "")) if has_key else ""


def write_identity(path: Path, settings: Mapping[str, str], *, heading: str) -> None:
    """Write settings, given by dotted names, into the file: mode 0600, in one step, forced to disk.

    Other settings and comments that are there stay; the same settings are replaced.

    Raises:
        SettingsInvalid: what is there is not TOML, or sets one of these in a way that cannot be replaced; or a value
            is no text.
        Refused: the file cannot be written.
    """
    before = _text(path)
    _parsed(path, before)
    text = before if heading in before else f"# {heading}\n{before}"
    for name, value in settings.items():
        try:
            text = _with_setting(text, name, value)
        except UnicodeEncodeError as exc:
            raise SettingsInvalid(f"{name} holds bytes that are not UTF-8; name it otherwise: {value!r}") from exc
        if not _holds(text, name, value):
            raise SettingsInvalid(f"{path} sets {name} in a form that cannot be replaced; move that file away first")
    _write(path, text)


def _holds(text: str, name: str, value: str) -> bool:
    section, _, inner = name.rpartition(".")
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return (found.get(section, {}) if section else found).get(inner) == value


def _with_setting(text: str, name: str, value: str) -> str:
    section, _, inner = name.rpartition(".")
    line = f"{inner} = {toml_string(value)}"
    # TOML knows no other end of a line.
    lines = text.removesuffix("\n").split("\n")
    start, end = _range_of(lines, section)
    if start < 0:
        return "\n".join([*lines, "", f"[{section}]", line, ""])
    for number in range(start, end):
        if re.match(rf"\s*{re.escape(inner)}\s*=", lines[number]):
            lines[number] = line
            return "\n".join([*lines, ""])
    return "\n".join([*lines[:start], line, *lines[start:], ""])


def _range_of(lines: list[str], section: str) -> tuple[int, int]:
    """The lines of a section, without its header; (-1, -1) when there is none."""
    headers = [number for number, line in enumerate(lines) if re.match(r"\s*\[", line)] + [len(lines)]
    if not section:
        comments = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
        return min(comments, headers[0]), headers[0]
    for number, following in pairwise(headers):
        if re.match(rf"\s*\[\s*{re.escape(section)}\s*\]\s*(#.*)?$", lines[number]):
            return number + 1, following
    return -1, -1


def _text(path: Path) -> str:
    try:
        # With the mark that editors of Windows put first.
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsInvalid(f"{path} cannot be read: {exc}") from exc


def _parsed(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise SettingsInvalid(f"{path} is not TOML: {exc}") from exc


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_private_file(path, text)
    except OSError as exc:
        raise Refused(f"{path} cannot be written: {exc.strerror}", code="FileNotWritten") from exc
