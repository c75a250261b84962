"""Who may import whom."""

import ast
import re
import sys
from collections.abc import Iterator, Sequence

from rules.source import GROUND_FLOOR, NAMESPACE, UPPER_FOLDERS, Source, Violation

#: Starts a script as root on every machine of a fleet, so it stays small enough to read in one sitting.
STANDALONE = "worker.execution"


def layers(source: Source) -> Iterator[Violation]:
    """Keep the three upper folders apart, and the ground floor below them."""
    if not source.is_product:
        return
    forbidden = set(UPPER_FOLDERS) - {source.folder}
    for line, target in imported_modules(source):
        if target.partition(".")[0] in forbidden:
            yield source.violation(line, f"{source.folder} must not import {target}")


def no_absolute_namespace_import(source: Source) -> Iterator[Violation]:
    """Import relatively inside the four folders: an absolute name can load a second copy of every class."""
    if not source.is_product or not source.is_python:
        return
    for element in source.elements:
        names = []
        if isinstance(element, ast.Import):
            names = [alias.name for alias in element.names]
        elif isinstance(element, ast.ImportFrom) and not element.level:
            names = [element.module or ""]
        if any(name.partition(".")[0] == NAMESPACE for name in names):
            yield source.violation(_line_of(element), f"import relatively, not by {NAMESPACE}…")


def no_upward_string(source: Source) -> Iterator[Violation]:
    """Name no higher folder in the ground floor, not even in a string that something imports later."""
    if source.folder != GROUND_FLOOR or not source.is_python:
        return
    upward = re.compile(rf"\b{NAMESPACE}\.({'|'.join(UPPER_FOLDERS)})\b")
    for element in source.elements:
        if isinstance(element, ast.Constant) and isinstance(element.value, str) and upward.search(element.value):
            yield source.violation(element.lineno, f"{element.value!r} names a higher folder")


def standalone_execution(source: Source) -> Iterator[Violation]:
    """Keep the part that runs scripts free of everything but the standard library and itself."""
    if not source.is_python or not module_of(source).startswith(STANDALONE):
        return
    for element in source.elements:
        if isinstance(element, ast.Import):
            outside = [alias.name for alias in element.names]
        elif isinstance(element, ast.ImportFrom) and not element.level:
            outside = [element.module or ""]
        else:
            continue
        for name in outside:
            if name.partition(".")[0] not in sys.stdlib_module_names:
                yield source.violation(element.lineno, f"{STANDALONE} must not import {name}")
    for line, target in imported_modules(source):
        if not (target == STANDALONE or target.startswith(f"{STANDALONE}.")):
            yield source.violation(line, f"{STANDALONE} must not import {target}")


def no_hidden_import(source: Source) -> Iterator[Violation]:
    """Import at the top; inside a function only with ``# lazy: reason`` on that line or the one above."""
    if not source.is_python:
        return
    seen = set()
    for element in source.elements:
        if not isinstance(element, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for inner in ast.walk(element):
            if isinstance(inner, ast.Import | ast.ImportFrom) and inner.lineno not in seen:
                seen.add(inner.lineno)
                if not source.has_note(r"\blazy: *\w", inner.lineno):
                    yield source.violation(inner.lineno, "import inside a function without '# lazy: reason'")


def import_cycles(sources: Sequence[Source]) -> Iterator[Violation]:
    """Find modules that import each other in a circle, imports inside functions included."""
    product = {module_of(source): source for source in sources if source.is_product and source.is_python}
    graph = {
        name: {_existing(target, product) for _, target in imported_modules(source)} - {None, name}
        for name, source in product.items()
    }
    for start in sorted(graph):
        path = _way_back(start, graph)
        # Reported once, at the circle's first module in the alphabet.
        if path and start == min(path):
            circle = " → ".join([*path, start])
            yield Violation(product[start].path, 1, f"import cycle: {circle}")


def module_of(source: Source) -> str:
    """The dotted name below the namespace: ``worker/cli.py`` is ``worker.cli``, a package is its folder."""
    parts = source.path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(source: Source) -> Iterator[tuple[int, str]]:
    """(line, dotted name below the namespace) of each import of our own, relative or absolute."""
    if not source.is_python:
        return
    for element in source.elements:
        if isinstance(element, ast.Import):
            found = [alias.name for alias in element.names]
        elif isinstance(element, ast.ImportFrom):
            base = _base_of(element, source)
            # "from . import keys" may name a module or something inside the package: both are tried later.
            found = [f"{base}.{alias.name}" for alias in element.names]
        else:
            continue
        for name in found:
            head, _, rest = name.partition(".")
            if head == NAMESPACE and rest:
                yield element.lineno, rest


def _base_of(element: ast.ImportFrom, source: Source) -> str:
    """What an import-from starts at, with the namespace in front when it is ours."""
    if not element.level:
        return element.module or ""
    package = [NAMESPACE, *source.path.parts[:-1]]
    above = package[: len(package) - (element.level - 1)]
    return ".".join([*above, element.module] if element.module else above)


def _existing(target: str, modules: dict[str, Source]) -> str | None:
    """The module that an imported name lives in: the name itself, or the longest part of it that is a module."""
    while target and target not in modules:
        target = target.rpartition(".")[0]
    return target or None


def _way_back(start: str, graph: dict[str, set[str | None]]) -> list[str] | None:
    """The shortest way from a module back to itself, or None."""
    waiting = [[start]]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop(0)
        for following in graph.get(path[-1], set()):
            if following == start:
                return path
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append([*path, following])
    return None


def _line_of(element: ast.AST) -> int:
    return int(getattr(element, "lineno", 1))
