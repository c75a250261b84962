"""What a running script reports, in this order: started, output again and again, ended."""

from dataclasses import dataclass

from .output.output_chunk import OutputChunk
from .record import ExitRecord


@dataclass(frozen=True, slots=True)
class Started:
    """The main process exists and its program was found."""

    pid: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The execution is over; always the last event. Its supervisor keeps ``record`` until the script is settled."""

    record: ExitRecord


Event = Started | OutputChunk | Ended
