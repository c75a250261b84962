"""What the verbs that run something answer."""

import msgspec

from ..broker_config.ledger import InvocationStatus
from ..broker_config.results import ExecutionRow


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
