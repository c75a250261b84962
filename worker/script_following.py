"""Follow a running script to its end."""

from collections.abc import Callable

from ..broker_config.results import Outcome
from .execution.events import Ended
from .execution.output_chunk import OutputChunk
from .execution.running_script import RunningScript
from .live_output import LiveOutput
from .outcomes import interrupted, outcome_of


def follow(script: RunningScript, live: LiveOutput) -> Outcome:
    """Publish live output until the script ends, and return how it did; let go of the script where that fails."""
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


def settling(script: RunningScript) -> Callable[[bool], bool]:
    """How to tell the holder of a script that has ended that its result is safe."""
    return lambda clears: script.settle(clears=clears)
