"""Read settings once: command line > environment > settings file > what `assist up` left > default.

Unknown names are errors that show the nearest known one: a misspelt setting must not be a silent default.
"""

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

from .errors import SettingsInvalid
from .files.named_file import read_small_file
from .files.system_folders import SETTINGS_FILE, STATE_FOLDER
from .redis.url import parse_url
from .settings_table import SECTIONS, Most, Settings, Value

_ENV_PREFIX = "CLOUD_ASSISTANT_"
#: Written by `assist up` into its home, so that commands in another terminal find the local system.
LOCAL_FILE = "local.toml"
#: Read by other modules: variables that are ours and yet not settings.
_NOT_SETTINGS = {"CONFIG", "ACTIVATION_ID", "ACTIVATION_CODE"}


@dataclass(frozen=True)
class Shown:
    """One setting as `assist config show` prints it."""

    name: str
    value: str
    source: str
    help: str


@dataclass(frozen=True)
class Loaded:
    """Settings together with where each value came from."""

    settings: Settings
    sources: Mapping[str, str]

    def shown(self) -> list[Shown]:
        """Every setting with value and source; secrets are masked."""
        rows = []
        for name, (_, secret, text, _) in sorted(_known().items()):
            value = _get(self.settings, name)
            rows.append(
                Shown(
                    name,
                    _mask(name, value) if secret else str(value),
                    self.sources.get(name, "default"),
                    text,
                )
            )
        return rows


def load(overrides: Mapping[str, Value] | None = None, *, config: str = "") -> Loaded:
    """Read all sources.

    ``overrides`` come from the command line, by dotted name (``agent.slots``); ``config`` is a file that must exist.

    Raises:
        SettingsInvalid: unknown name, unreadable file, or a value of the wrong type or size.
    """
    environment = {key: value for key, value in os.environ.items() if key.startswith(_ENV_PREFIX)}
    given, given_sources = _from_environment(environment)
    from_file, file_name = _from_file(config or _named("CONFIG"))
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer, source in ((from_file, file_name), (given, ""), (dict(overrides or {}), "command line")):
        for name, value in layer.items():
            values[name] = _checked(name, value, source or given_sources.get(name, ""))
            sources[name] = source or given_sources[name]
    # A file has nobody who reads ~ before us, as a shell does.
    values["home"] = os.path.expanduser(values.get("home") or default_home())  # noqa: PTH111
    local = _read_toml(Path(values["home"]) / LOCAL_FILE, must_exist=False)
    for name, value in local.items():
        if name not in sources:
            values[name] = _checked(name, value, LOCAL_FILE)
            sources[name] = f"assist up ({values['home']})"
    settings = _build(values)
    parse_url(settings.redis_url)
    return Loaded(settings, sources)


def chosen_home() -> str:
    """The state folder that the environment names, else the default one; for those that read no settings file.

    Raises:
        SettingsInvalid: the variable is empty, or nobody knows where the user's is.
    """
    return _named("HOME") or default_home()


def chosen_file() -> Path:
    """The settings file that the environment names, else for root the system's, else the user's.

    Raises:
        SettingsInvalid: the variable is empty, or nobody knows where the user's is.
    """
    named = _named("CONFIG")
    if named or os.name == "nt" or os.geteuid() == 0:
        return Path(named or SETTINGS_FILE)
    return _user_file() or _without_home("the settings file with --config or CLOUD_ASSISTANT_CONFIG")


def _named(variable: str) -> str:
    """The file or folder that a variable of ours names; ``""`` where it is not set."""
    value = os.environ.get(_ENV_PREFIX + variable)
    if value is not None and not value.strip():
        # Another file or folder would be meant.
        raise SettingsInvalid(f"environment variable {_ENV_PREFIX}{variable} is empty; give it a value, or unset it")
    return value or ""


def default_home() -> str:
    """The state folder where none is set: system-wide for root, the user's data folder otherwise.

    Raises:
        SettingsInvalid: nobody knows where the user's is.
    """
    if os.name == "nt" or os.geteuid() == 0:
        return STATE_FOLDER
    base = _user_folder("XDG_DATA_HOME", ".local/share")
    return str(base or _without_home("the state folder with --home or CLOUD_ASSISTANT_HOME"))


def own_environment() -> Mapping[str, str]:
    """The whole environment of this process, for whoever starts programs that cannot do without parts of it."""
    return os.environ


def child_environment(**values: str) -> dict[str, str]:
    """The environment for a program of ours: this one's, without our variables, plus the given ones."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_ENV_PREFIX)}
    return {**kept, **values}


def environment_value(variable: str) -> str | None:
    """One variable of this process that is no setting: where an operator keeps a secret, for instance."""
    return os.environ.get(variable)


def service_manager() -> str:
    """Where the service manager wants to hear that we live; '' for nowhere."""
    return os.environ.get("NOTIFY_SOCKET", "")


def service_log() -> str:
    """The file that a service manager without a log of its own has our stderr go to; '' for none."""
    return os.environ.get("ASSIST_AGENT_SERVICE_LOG", "")


def _known() -> dict[str, tuple[type, bool, str, Most | None]]:
    """Dotted name -> (type, secret, help, largest value)."""
    known: dict[str, tuple[type, bool, str, Most | None]] = {}
    for one in fields(Settings):
        if one.name in SECTIONS:
            for inner in fields(getattr(Settings(), one.name)):
                known[f"{one.name}.{inner.name}"] = _declared(inner)
        else:
            known[one.name] = _declared(one)
    return known


def _declared(one: Field[Any]) -> tuple[type, bool, str, Most | None]:
    return type(one.default), one.metadata["secret"], one.metadata["help"], one.metadata["most"]


def environment_name(name: str) -> str:
    """The environment variable of a setting."""
    return _ENV_PREFIX + name.upper().replace(".", "_")


def _from_environment(environment: Mapping[str, str]) -> tuple[dict[str, Value], dict[str, str]]:
    names = {environment_name(name): name for name in _known()}
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    for variable, text in environment.items():
        if variable.removeprefix(_ENV_PREFIX) in _NOT_SETTINGS:
            continue
        if variable not in names:
            raise SettingsInvalid(f"environment variable {variable} is not a setting{_nearest(variable, names)}")
        values[names[variable]] = text
        sources[names[variable]] = f"environment {variable}"
    return values, sources


def _from_file(config: str) -> tuple[dict[str, Value], str]:
    if config:
        return _read_toml(Path(config), must_exist=True), config
    for candidate in (Path(SETTINGS_FILE), _user_file()):
        values = _read_toml(candidate, must_exist=False) if candidate else {}
        if values:
            return values, str(candidate)
    return {}, ""


def _user_file() -> Path | None:
    folder = _user_folder("XDG_CONFIG_HOME", ".config")
    return folder / "config.toml" if folder else None


def _user_folder(variable: str, usual: str) -> Path | None:
    """Our folder among the user's own; ``None`` for a user whom the system does not know, as in some containers."""
    base = os.environ.get(variable)
    try:
        return (Path(base) if base else Path.home() / usual) / "cloud-assistant"
    except RuntimeError:
        return None


def _without_home(remedy: str) -> NoReturn:
    raise SettingsInvalid(f"this user has no home folder: set HOME, or name {remedy}")


def _read_toml(path: Path, *, must_exist: bool) -> dict[str, Value]:
    try:
        # With the mark that editors of Windows put first.
        text = read_small_file(path).decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, PermissionError) as exc:
        if must_exist:
            raise SettingsInvalid(f"settings file {path}: {exc.strerror}") from exc
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        # There, and yet no text: a folder, a broken disk.
        raise SettingsInvalid(f"settings file {path}: {getattr(exc, 'strerror', None) or exc}") from exc
    import tomllib  # lazy: 3 ms, and often there is no file

    try:
        parsed = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        # Not only what is not TOML: a number of 5,000 digits, a thousand lists in one another.
        raise SettingsInvalid(f"settings file {path}: {exc}") from exc
    flat: dict[str, Value] = {}
    for name, value in parsed.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": inner_value for inner, inner_value in value.items()})
        else:
            flat[name] = value
    return flat


def _checked(name: str, value: Any, source: str) -> Value:
    known = _known()
    if name not in known:
        raise SettingsInvalid(f"{source}: {name!r} is not a setting{_nearest(name, known)}")
    kind = known[name][0]
    if kind is bool and isinstance(value, str) and value.lower() in ("1", "true", "yes", "0", "false", "no"):
        return value.lower() in ("1", "true", "yes")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return _counted(name, float(value), source)
    if kind is str and isinstance(value, str) and not value.strip() and _has_default(name):
        # As an unset variable leaves it: the default would be another place, or another host, than was meant.
        raise SettingsInvalid(f"{source}: {name} is empty; give it a value, or leave it out")
    given: Value = value
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return _counted(name, given, source)
    if isinstance(value, str) and kind in (int, float):
        try:
            number = int(value) if kind is int else float(value)
        except ValueError:
            pass  # reported below together with every other mismatch
        else:
            return _counted(name, number, source)
    wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]
    raise SettingsInvalid(f"{source}: {name} must be {wanted}, not {value!r}")


def _has_default(name: str) -> bool:
    """Whether there is a value that counts where a text is left out."""
    return name == "home" or bool(_get(Settings(), name))


def _counted(name: str, value: Value, source: str) -> Value:
    """Refuse a number that no setting can mean: `history_days = -1` for "keep for ever" would remove everything."""
    if isinstance(value, int | float) and (value < 0 or (isinstance(value, float) and not isfinite(value))):
        raise SettingsInvalid(f"{source}: {name} is {value}; it must be 0 or more, and finite")
    most = _known()[name][3]
    if most is not None and isinstance(value, int | float) and value > most.value:
        raise SettingsInvalid(f"{source}: {name} is {value}; it may be {most.value} at most: {most.remedy}")
    return value


def _build(values: Mapping[str, Value]) -> Settings:
    settings = Settings()
    for section in SECTIONS:
        inner = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(section + ".")}
        if inner:
            settings = replace(settings, **{section: replace(getattr(settings, section), **inner)})
    return replace(settings, **{name: value for name, value in values.items() if "." not in name})  # type: ignore[arg-type]


def _get(settings: Settings, name: str) -> Value:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    found: Value = value
    return found


def _mask(name: str, value: Value) -> str:
    if name.endswith("redis_url") and value:
        return parse_url(str(value)).shown()
    return "********" if value else ""


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    import difflib  # lazy: only a misspelt name needs it

    close = difflib.get_close_matches(name, known, 1, 0.6)
    return f"; did you mean {close[0]}?" if close else "; `assist config show` lists them all"
