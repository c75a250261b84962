"""What the rules look at: the files that are, or are about to be, under version control."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).parents[2]
NAMESPACE = "cloud_assistant"
GROUND_FLOOR = "broker_config"
UPPER_FOLDERS = ("producer", "worker", "beat")
PRODUCT_FOLDERS = (GROUND_FLOOR, *UPPER_FOLDERS)


@dataclass(frozen=True)
class Violation:
    """One place that breaks a rule."""

    path: PurePosixPath
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Source:
    """One text file: its path from the repository's root and what it says."""

    path: PurePosixPath
    text: str

    @property
    def folder(self) -> str:
        """The top-level folder; empty for a file at the root."""
        return self.path.parts[0] if len(self.path.parts) > 1 else ""

    @property
    def is_product(self) -> bool:
        return self.folder in PRODUCT_FOLDERS

    @property
    def is_python(self) -> bool:
        return self.path.suffix == ".py"

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def elements(self) -> list[ast.AST]:
        """Every part of the syntax tree, outer before inner."""
        return list(ast.walk(self.tree))

    def has_note(self, pattern: str, line: int) -> bool:
        """Whether the comment on this line, or on the one above it, matches."""
        near = self.lines[max(0, line - 2) : line]
        return any(re.search(pattern, text.partition("#")[2]) for text in near)

    def violation(self, line: int, message: str) -> Violation:
        return Violation(self.path, line, message)


#: Looks at one file.
Rule = Callable[[Source], Iterable[Violation]]


@cache
def repository_paths() -> tuple[PurePosixPath, ...]:
    """Every file that git tracks or would add; outside a clone (an unpacked sdist) every file there is."""
    outcome = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode == 0:
        names = [name for name in outcome.stdout.split("\0") if name]
    else:
        names = [path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.rglob("*")]
    return tuple(PurePosixPath(name) for name in sorted(set(names)) if (REPOSITORY / name).is_file())


@cache
def repository_sources() -> tuple[Source, ...]:
    """Every text file of the repository."""
    return tuple(_text_files())


def _text_files() -> Iterator[Source]:
    for path in repository_paths():
        content = (REPOSITORY / path).read_bytes()
        if b"\0" not in content:
            yield Source(path, content.decode("utf-8", "replace"))
