"""Give memory that is not needed any more back to the system."""

import ctypes
import gc
import os


def give_back_memory() -> None:
    """Collect what nobody refers to, and have the C library hand over what was freed; a tenth of a second.

    glibc keeps what a thread has freed for that thread alone: each that has made a large answer would hold on to as
    much. Where the C library has no such function, it is left to it.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
