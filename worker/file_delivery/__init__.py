"""Files that are sent to this instance: each is written whole or not at all."""

import os

if os.name == "nt":
    from .windows_file import write_file
else:
    from .posix_file import write_file

__all__ = ["write_file"]
