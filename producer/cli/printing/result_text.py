"""Results for people: one target in a line, many grouped by what came of them."""

import hashlib
from collections.abc import Iterator, Sequence

from ....broker_config.error_codes import ErrorCode
from ....broker_config.ids import is_invocation_id
from ....broker_config.programs.counted import counted
from ....broker_config.programs.printable import clean
from ....broker_config.results import ExecutionRow
from ....broker_config.states import ExecutionState
from .terminal import WIDTH_COLUMNS
from .text_cells import duration, names_that_fit

OUTPUT_INDENT = "    "


def ending(row: ExecutionRow) -> str:
    """The state with exit code or signal, as in ``Failed exit 3``."""
    outcome = row.outcome
    if outcome.signal:
        return f"{row.state} signal {outcome.signal}"
    if outcome.exit_code is not None:
        return f"{row.state} exit {outcome.exit_code}"
    # A script that succeeds has an exit code, and a file none.
    is_dry_run = row.state == ExecutionState.SUCCESS and is_invocation_id(row.invoke_id)
    return f"{row.state}, checked only: nothing ran" if is_dry_run else row.state


def reason(row: ExecutionRow) -> str:
    """Why it did not end well; empty when it did, or when the exit code says it all."""
    code, info = clean(row.outcome.error_code), clean(row.outcome.error_info)
    if code == ErrorCode.EXIT_CODE_NONZERO and row.outcome.exit_code is not None:
        return ""
    return f"{code}: {info}" if code and info else code or info


def span(row: ExecutionRow) -> str:
    """How long the script ran; empty when it did not, or still does."""
    if row.state == ExecutionState.INVALID:
        return ""
    started_ms, finished_ms = row.outcome.started_ms, row.outcome.finished_ms
    return duration(max(0, finished_ms - started_ms)) if started_ms and finished_ms else ""


def one_line(row: ExecutionRow) -> str:
    """``t-… i-… Success exit 0 in 0.4 s``, with the reason where it did not go well."""
    parts = [f"{row.invoke_id} {row.instance_id} {ending(row)}"]
    if span(row):
        parts.append(f" in {span(row)}")
    if reason(row):
        parts.append(f" ({reason(row)})")
    if row.outcome.survivors:
        parts.append(f"; {row.outcome.survivors} of its processes survived")
    if row.outcome.left_running:
        parts.append(f"; {row.outcome.left_running} of its processes left running in the background")
    return "".join(parts)


def grouped(rows: Sequence[ExecutionRow]) -> Iterator[str]:
    """Yield the lines of a summary: equal results together, successes first, then the larger groups."""
    for number, group in enumerate(together(rows)):
        if number:
            yield ""
        yield from group_lines(group)


def together(rows: Sequence[ExecutionRow]) -> list[list[ExecutionRow]]:
    """Put equal results together: successes first, then the larger groups."""
    groups: dict[object, list[ExecutionRow]] = {}
    for row in rows:
        groups.setdefault(_likeness(row), []).append(row)
    return sorted(groups.values(), key=lambda group: (group[0].state != ExecutionState.SUCCESS, -len(group)))


def _likeness(row: ExecutionRow) -> object:
    outcome = row.outcome
    output = hashlib.sha256(outcome.output.data).digest()
    return row.state, outcome.exit_code, outcome.signal, reason(row), outcome.output.dropped_bytes, output


def group_lines(group: Sequence[ExecutionRow]) -> Iterator[str]:
    """Equal results: what came of them, whose they are, and their output."""
    yield from group_heading(group)
    for line in output_lines(group[0]):
        yield f"{OUTPUT_INDENT}{line}".rstrip()


def group_heading(group: Sequence[ExecutionRow]) -> Iterator[str]:
    """What came of equal results, and whose they are."""
    first = group[0]
    why = f" ({reason(first)})" if reason(first) else ""
    yield f"{counted(len(group), 'instance')}: {ending(first)}{why}"
    yield f"  {names_that_fit([row.instance_id for row in group], WIDTH_COLUMNS - 2)}"


def output_lines(row: ExecutionRow) -> Iterator[str]:
    """The output as lines of text, control characters made visible, with a mark where bytes were not kept."""
    kept = row.outcome.output
    if not kept.dropped_bytes:
        yield from text_lines(kept.data)
        return
    yield from text_lines(kept.data[: kept.gap_at])
    yield f"… {counted(kept.dropped_bytes, 'byte')} not kept …"
    yield from text_lines(kept.data[kept.gap_at :])


def text_lines(data: bytes) -> Iterator[str]:
    """Bytes as lines of text, control characters made visible."""
    text = data.decode("utf-8", "replace").removesuffix("\n")
    for line in text.split("\n") if data else ():
        yield clean(line.removesuffix("\r").expandtabs())
