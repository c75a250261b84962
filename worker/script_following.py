"""Follow a running script to its end."""

from collections.abc import Callable

from ..broker_config.programs.program_log import logger
from ..broker_config.results import Outcome
from .execution.events import Ended
from .execution.output.output_chunk import OutputChunk
from .execution.running_script import RunningScript, ScriptOutOfReach
from .live_output import LiveOutput
from .outcomes import interrupted, outcome_of

_log = logger("scripts")


def follow(script: RunningScript, live: LiveOutput) -> Outcome:
    """Publish live output until the script ends, and return how it did; let go of the script where that fails.

    Raises:
        ScriptOutOfReach: how it ends cannot be heard now; the look at the ledger takes it up again.
    """
    try:
        for event in script.events():
            match event:
                case OutputChunk():
                    live.publish(event)
                case Ended(record):
                    return outcome_of(record)
    except BaseException:
        script.close()
        raise
    return interrupted("the script's events broke off; its supervisor is gone")


def note_out_of_reach(execution_id: str, exc: ScriptOutOfReach) -> None:
    """Tell in the log that a result comes later, and why."""
    _log.error("a script is out of reach, and its result comes later execution=%s: %s", execution_id, exc)


def settling(script: RunningScript) -> Callable[[bool], bool]:
    """How to tell the holder of a script that has ended that its result is safe."""
    return lambda clears: script.settle(clears=clears)
