"""What the verbs that run something answer."""

from collections.abc import Sequence

import msgspec

from ...broker_config.ledger import InvocationStatus
from ...broker_config.results import ExecutionRow


class Invoked(msgspec.Struct, frozen=True):
    """What came of a request to invoke or run."""

    invoke_id: str
    command_id: str
    target_count: int


class Finished(msgspec.Struct, frozen=True):
    """An invocation that has ended: its roll-up and the result of every target, in the order of the targets."""

    invoke_id: str
    command_id: str
    status: InvocationStatus
    results: list[ExecutionRow]


def in_order(rows: Sequence[ExecutionRow], targets: Sequence[str]) -> list[ExecutionRow]:
    """Put results that came in any order into that of the targets, which need not be known for a single one."""
    if len(rows) <= 1:
        return list(rows)
    place_of = {instance_id: place for place, instance_id in enumerate(targets)}
    return sorted(rows, key=lambda row: place_of[row.instance_id])
