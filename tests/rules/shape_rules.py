"""How long things may be."""

import ast
from collections.abc import Iterator

from rules.source import Source, Violation

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60


def file_length(source: Source) -> Iterator[Violation]:
    """Keep each file of code at one job: past this length it has a second one."""
    is_code = source.path.suffix in {".py", ".lua", ".sh", ".js"}
    if is_code and source.folder != "tests" and len(source.lines) > FILE_LINES_MAX:
        yield source.violation(
            FILE_LINES_MAX, f"{len(source.lines)} lines, at most {FILE_LINES_MAX}: move its second job out"
        )


def function_length(source: Source) -> Iterator[Violation]:
    """Keep each function readable without scrolling; docstring included."""
    if not source.is_python or source.folder == "tests":
        return
    for element in source.elements:
        if isinstance(element, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (element.end_lineno or element.lineno) - element.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield source.violation(
                    element.lineno, f"{element.name} has {length} lines, at most {FUNCTION_LINES_MAX}"
                )
