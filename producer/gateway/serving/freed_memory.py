"""Have memory that is not needed any more serve others."""

import ctypes
import gc
import os

#: ``M_ARENA_MAX`` of glibc's ``mallopt``.
_ARENA_MAX = -8


def share_memory() -> None:
    """Have what one thread has freed serve the others; to be called before there are any.

    glibc gives each of a gateway's threads a place of its own, and each keeps what its largest request took.
    That is for threads which allocate at the same time, and Python's take turns.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if choose is not None:
        choose(_ARENA_MAX, 1)


def give_back_memory() -> None:
    """Collect what nobody refers to, and have the C library hand over what was freed; a tenth of a second.

    glibc keeps what was freed while anything that lies behind it is in use. Where the C library has no such function,
    it is left to it.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
