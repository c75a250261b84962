"""What an agent on Windows loads when it starts: nothing that only other systems have.

Read from the source, since no Windows is at hand here; `tests/run -m windows tests/windows` runs the real thing.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_assistant import broker_config, worker

FOLDERS = {"broker_config": Path(broker_config.__path__[0]), "worker": Path(worker.__path__[0])}
ELSEWHERE_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
#: Names that modules of every system have on some only; used while a module is loaded, they end it.
ELSEWHERE_ONLY_NAMES = {"CMSG_LEN", "SIGUSR1", "SIGKILL", "SIGHUP", "SIGCHLD", "O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY"}
START = ("worker.entry", "worker.cli", "worker.program", "worker.agent")


def file_of(module: str) -> Path | None:
    """The file of a module of ours; None for all else."""
    folder, *rest = module.split(".")
    path = FOLDERS[folder].joinpath(*rest)
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def on_windows(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run there while a module is loaded."""
    for one in statements:
        if isinstance(one, ast.If) and ast.unparse(one.test) == "os.name == 'nt'":
            yield from on_windows(one.body)
        elif isinstance(one, ast.If) and ast.unparse(one.test) != "TYPE_CHECKING":
            yield from on_windows([*one.body, *one.orelse])
        elif isinstance(one, ast.ClassDef):
            yield from on_windows(one.body)
        elif not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.If):
            yield one


def imported(module: str, one: ast.stmt) -> list[str]:
    """What a statement imports; ours by their names below the namespace."""
    if isinstance(one, ast.Import):
        return [alias.name for alias in one.names]
    if not isinstance(one, ast.ImportFrom):
        return []
    if not one.level:
        return [one.module or ""]
    path = file_of(module)
    parts = module.split(".") if path and path.name == "__init__.py" else module.split(".")[:-1]
    base = ".".join([*parts[: len(parts) - one.level + 1], *([one.module] if one.module else [])])
    return [f"{base}.{alias.name}" for alias in one.names] + [base]


def problems(module: str, one: ast.stmt) -> Iterator[str]:
    """What of a statement does not exist on Windows."""
    for name in imported(module, one):
        if name.partition(".")[0] in ELSEWHERE_ONLY:
            yield f"{module} imports {name}"
    for inner in ast.walk(one):
        if isinstance(inner, ast.Attribute) and inner.attr in ELSEWHERE_ONLY_NAMES:
            yield f"{module} uses {ast.unparse(inner)} while it is loaded"


def test_an_agent_on_windows_loads_only_what_is_there() -> None:
    waiting, seen = [*START], set(START)
    found: list[str] = []
    while waiting:
        module = waiting.pop()
        path = file_of(module) if module.partition(".")[0] in FOLDERS else None
        if path is None:
            continue
        for one in on_windows(ast.parse(path.read_text(encoding="utf-8")).body):
            found += problems(module, one)
            fresh = set(imported(module, one)) - seen
            seen |= fresh
            waiting += fresh
    assert not found, "\n".join(found)
    assert {"worker.execution.windows.job", "worker.execution.watched.watched_script", "worker.file_lock"} <= seen
    assert "worker.execution.channel" not in seen


@pytest.mark.parametrize("module", ["worker.execution.channel", "worker.execution.account"])
def test_what_is_looked_for_is_found(module: str) -> None:
    path = file_of(module)
    assert path is not None
    assert [problem for one in on_windows(ast.parse(path.read_text()).body) for problem in problems(module, one)]
