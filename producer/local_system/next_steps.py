"""The commands that `assist up` proposes: each works as it stands in another terminal."""

import shlex
import shutil
import sys
from pathlib import Path

from ...broker_config.settings import default_home

_FIRST_RUN = "assist run 'echo 123' --all"
_COMMANDS = ("assist instance list", "assist invocation list")


def next_steps(home: Path, *, with_agent: bool) -> list[str]:
    """What to type, preceded by the one line that another terminal needs where home or program are not the usual."""
    needed = []
    if str(home) != default_home():
        needed.append(f"CLOUD_ASSISTANT_HOME={shlex.quote(str(home))}")
    if not _is_on_everybodys_path():
        needed.append(f'PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    # Without an agent of ours there may be nobody to run it, or a whole fleet of a named Redis.
    commands = (_FIRST_RUN, *_COMMANDS) if with_agent else _COMMANDS
    return ([f"export {' '.join(needed)}"] if needed else []) + list(commands)


def _is_on_everybodys_path() -> bool:
    """Whether a new terminal finds `assist`: an activated environment is known to its own terminal alone."""
    if sys.prefix == sys.base_prefix:
        return True
    found = shutil.which("assist")
    return found is not None and Path(found).parent != Path(sys.executable).parent
