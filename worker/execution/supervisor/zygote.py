"""The fork server: a small process that turns a request into a supervisor and does nothing else.

It never runs a script and holds no state, so it can end with its agent at any time; supervisors at work go on.
"""

import gc
import os
import signal
import sys

from ..channel import Channel, Kind
from .warm import WarmSupervisor


def serve(control_fd: int) -> None:
    """Fork a supervisor for every request until the agent is gone."""
    control = Channel.from_fd(control_fd)
    os.set_inheritable(control_fd, False)
    _reset_signals()
    # What is loaded now is shared with every supervisor for as long as nobody writes to it.
    gc.collect()
    gc.freeze()
    try:
        control.send(Kind.READY)
    except ConnectionError:
        return  # the agent was ended as it started
    while (message := control.receive()) is not None:
        if message.kind == Kind.SPAWN and message.fds:
            _spawn(control, Channel.from_fd(message.fds[0]), idle_seconds=float(message.body))


def _spawn(control: Channel, channel: Channel, *, idle_seconds: float) -> None:
    try:
        pid = os.fork()
    except OSError as exc:
        channel.send(Kind.FORK_FAILED, (exc.strerror or str(exc)).encode(), wait=False)
        channel.close()
        return
    if pid:
        channel.close()
        return
    control.close()
    _live_as_supervisor(channel, idle_seconds)


def _live_as_supervisor(channel: Channel, idle_seconds: float) -> None:
    """Never return: a supervisor that fell back into the fork server's loop would be a second one."""
    exit_code = 1
    try:
        os.setsid()
        # The agent's own output must be able to end while a script still runs.
        null_fd = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null_fd, fd)
        os.close(null_fd)
        supervisor = WarmSupervisor(channel, idle_seconds)
        try:
            supervisor.serve()
            exit_code = 0
        except BaseException:
            supervisor.end_after_defect()
            raise
    finally:
        os._exit(exit_code)


def _reset_signals() -> None:
    """Undo what the agent's service set: scripts inherit ignored and blocked signals."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if number < signal.SIGRTMIN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # The kernel buries supervisors that ended; each supervisor sets its own handler.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def main() -> None:
    """Start with the number of the inherited descriptor as the only argument."""
    serve(int(sys.argv[1]))
