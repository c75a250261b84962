"""Where the delivery of a file stands over all of its instances, in the words that the API has for files."""

from collections import Counter
from collections.abc import Mapping

from ..broker_config.states import UNFINISHED, ExecutionState


def file_status(counts: Mapping[str, int]) -> str:
    """Fold the states of a file's deliveries: what waits or goes on comes first, then whether all went well."""
    present = Counter(counts)
    if present[ExecutionState.PENDING]:
        return ExecutionState.PENDING.value
    if any(present[state] for state in UNFINISHED):
        # Nothing here is called Stopping: until that has ended it is still under way.
        return ExecutionState.RUNNING.value
    good = present[ExecutionState.SUCCESS]
    if not good:
        return "Failed"
    return "Success" if good == present.total() else "PartialFailed"
