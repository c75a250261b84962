"""The operator's command line, ``assist``.

``command_table.py`` says which command lives where; only the one that is called is imported.
"""

import sys
from collections.abc import Sequence

from ...broker_config.programs.standard_streams import prepare_streams

#: As ``exit_codes`` has it, which imports what the help does without.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``assist`` with the given words, else those of the command line, and answer its exit code."""
    try:
        prepare_streams()
        words = list(sys.argv[1:] if arguments is None else arguments)
        if words in (["--help"], ["-h"]):
            from .root_help import show_help  # lazy: see its first line

            return show_help()
        from .program import run  # lazy: see above

        return run(words)
    except KeyboardInterrupt:
        # Before anything could take it, or as all was over.
        sys.stderr.write("assist: interrupted (Interrupted)\n")
        return INTERRUPTED
