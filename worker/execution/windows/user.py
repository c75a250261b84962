"""Who a process of Windows runs as."""

import ctypes

from .job import call

#: Microsoft's UNLEN, and the zero behind it.
_NAME_CHARACTERS = 257


def user_name() -> str:
    """The name of this process' own user, asked of the system: a service need not have it in its environment.

    Raises:
        OSError: the system does not tell.
    """
    name = ctypes.create_unicode_buffer(_NAME_CHARACTERS)
    call("advapi32", "GetUserNameW", name, ctypes.byref(ctypes.c_uint32(_NAME_CHARACTERS)))
    return name.value
