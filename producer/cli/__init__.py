"""The operator's command line, ``assist``.

``command_table.py`` says which command lives where; only the one that is called is imported.
"""

from .program import main

__all__ = ["main"]
