"""The control side: takes requests, answers questions.

``from cloud_assistant.producer import Assistant`` is the Python API; its parts are in ``api.py``.
"""

#: As typing has it, whose import takes longer than all else before the command line can take a Ctrl-C.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from .api import Assistant
    from .invoking import RunOptions
    from .targets import Targets

__all__ = ["Assistant", "RunOptions", "Targets"]

_HOMES = {"Assistant": "api", "RunOptions": "invoking", "Targets": "targets"}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: a program that needs one folder of this package pays for no other."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # lazy: see above

    found: object = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return found
