"""Results of many instances as differences from what most of them say."""

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import unified_diff

from ....broker_config.results import ExecutionRow
from .result_text import OUTPUT_INDENT, group_heading, group_lines, output_lines, together

#: Longer outputs are shown whole: the time to compare two may grow with the square of their lines.
_MOST_LINES_COUNT = 2_000
_CONTEXT_LINES_COUNT = 1


def compared(rows: Sequence[ExecutionRow]) -> Iterator[str]:
    """Yield the lines of a summary: the commonest output whole, of every other one what is different.

    Only scripts that have ended are looked at for the commonest; the others have nothing to say yet, or at all.
    """
    groups = [(group, tuple(output_lines(group[0]))) for group in together(rows)]
    said = Counter[tuple[str, ...]]()
    for group, lines in groups:
        if group[0].outcome.exit_code is not None:
            said[lines] += len(group)
    commonest = max(said, key=said.__getitem__, default=())
    groups.sort(key=lambda one: one[1] != commonest)
    for number, (group, lines) in enumerate(groups):
        if number:
            yield ""
        if not number or not lines or len(lines) + len(commonest) > _MOST_LINES_COUNT:
            yield from group_lines(group)
            continue
        yield from group_heading(group)
        for line in _differences(commonest, lines):
            yield f"{OUTPUT_INDENT}{line}".rstrip()


def _differences(commonest: Sequence[str], lines: Sequence[str]) -> Iterator[str]:
    if lines == commonest:
        yield "(the same output)"
        return
    # The first two lines name the files that are compared.
    yield from list(unified_diff(commonest, lines, n=_CONTEXT_LINES_COUNT, lineterm=""))[2:]
