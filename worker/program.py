"""Start the agent's process: settings, lock, fork server, signals; and say why where it cannot start.

Celery is imported while the fork server gets ready: together they are the time to readiness.
"""

import errno
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from ..broker_config import settings
from ..broker_config.errors import CloudAssistantError, SettingsInvalid
from ..broker_config.files.system_folders import LOG_FOLDER, STATE_FOLDER
from ..broker_config.programs import program_log
from ..broker_config.settings_table import Settings, Value
from .execution.launching import Launching
from .execution.this_system import new_launcher
from .exit_codes import EXIT_REFUSED, EXIT_RESTART, EXIT_USAGE
from .home_lock import Holder, HomeLock
from .service.notifier import ServiceNotifier
from .service.service_log import keep_small
from .upgrade.handing_over import StartedAs

#: What a later start may find better. Service managers do not start again after ``EXIT_USAGE``.
_PASSING_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EINTR}
)
_LOG_FILES = 5
#: The last one is Windows' word for a closed console.
_END_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]

_log = program_log.logger("agent")


def run(overrides: Mapping[str, Value], *, config: str, debug: bool, arguments: Sequence[str] = ()) -> int:
    """Run the agent of this machine; returns an exit code only when it could not start.

    ``arguments`` are the words after ``run``: another version is started with the same.
    """
    program_log.set_up(debug=debug)
    has_service_log = keep_small(settings.service_log())
    try:
        started_as = StartedAs(overrides, config, arguments)
        _start(
            settings.load(overrides, config=config).settings, started_as, debug=debug, has_service_log=has_service_log
        )
    except SettingsInvalid as exc:
        _log.error("%s", exc)
        return EXIT_USAGE
    except CloudAssistantError as exc:
        _log.error("%s", exc)
        return EXIT_REFUSED
    except OSError as exc:
        if exc.errno not in _PASSING_ERRORS:
            _log.error("%s", exc)
            return EXIT_USAGE
        _log.error("%s; fix that on this machine, and start me again (code %d)", exc, EXIT_RESTART)
        return EXIT_RESTART
    return 0


def _start(loaded: Settings, started_as: StartedAs, *, debug: bool, has_service_log: bool) -> None:
    """Start and run; returns when a start is refused by an exception only.

    Raises:
        Refused: an agent runs with this home, or elsewhere with this instance id.
        SettingsInvalid: a setting cannot be used.
        OSError: the home cannot be written, or the system cannot run supervisors.
    """
    home = Path(loaded.home)
    lock = HomeLock(home)
    program_log.set_up(
        debug=debug,
        file=log_folder(loaded) / "agent.log",
        file_limit_bytes=loaded.agent.log_limit_bytes * _LOG_FILES,
        file_count=_LOG_FILES,
        file_days=loaded.agent.log_days,
        to_file_alone=has_service_log,
    )
    launcher = new_launcher()
    preparing = _Preparing(launcher)
    from .agent import Agent  # lazy: imports Celery while the fork server starts
    from .identity import identify  # lazy: as above

    identity = identify(loaded.instance_id, home)
    lock.describe(
        Holder(
            pid=os.getpid(),
            instance_id=identity.instance_id,
            epoch=identity.epoch,
            started_ms=identity.started_ms,
            version=identity.agent_version,
        )
    )
    preparing.wait()
    agent = Agent(loaded, identity, launcher, started_as, ServiceNotifier(settings.service_manager()))
    _end_on_signals(agent.end)
    agent.run()


def log_folder(loaded: Settings) -> Path:
    """Where the agent's log is: as set, else beside the system's other logs, else in a home of one's own."""
    if loaded.agent.log_folder:
        return Path(loaded.agent.log_folder)
    return Path(LOG_FOLDER) if loaded.home == STATE_FOLDER else Path(loaded.home) / "log"


class _Preparing:
    """The start of the fork server, beside the imports."""

    def __init__(self, launcher: Launching) -> None:
        self._launcher = launcher
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._start, name="launcher", daemon=True)
        self._thread.start()

    def _start(self) -> None:
        try:
            self._launcher.start()
        except OSError as exc:
            self._problem = exc

    def wait(self) -> None:
        self._thread.join()
        if self._problem is not None:
            raise self._problem


def _end_on_signals(end: Callable[[], None]) -> None:
    """Have SIGTERM and Ctrl-C end the agent, from a thread of its own.

    The main thread may be anywhere in Celery, connecting for instance; a second signal does not wait for anything.
    """
    reader, writer = os.pipe()
    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(1)
        asked = True
        os.write(writer, b".")

    def serve() -> None:
        os.read(reader, 1)
        try:
            end()
        except Exception:  # noqa: BLE001  # outermost: who was told to end ends, and the rest is for the next agent
            _log.exception("agent ends without its goodbyes")
        os._exit(1)

    threading.Thread(target=serve, name="ending", daemon=True).start()
    for number in _END_SIGNALS:
        signal.signal(number, ask)
