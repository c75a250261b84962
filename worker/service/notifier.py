"""Tell systemd that the agent is ready and alive, where systemd asks for it; elsewhere every call does nothing.

The protocol is one datagram of text to a Unix socket whose name is in the environment (sd_notify(3)).
"""

import socket

from ...broker_config.programs.program_log import logger

_log = logger("service")


class ServiceNotifier:
    """The line to the service manager. Any thread may use it."""

    def __init__(self, address: str) -> None:
        # A leading @ stands for the zero byte of an abstract socket.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._is_told = False

    def ready(self) -> None:
        """Say that the agent took its home and can run scripts; Redis may still be away."""
        self._send("READY=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send(f"STATUS={text}")

    def stopping(self) -> None:
        """Say that the end was asked for."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(1.0)
                line.sendto(message.encode(), self._address)
        except OSError as exc:
            if not self._is_told:
                self._is_told = True
                _log.warning("the service manager cannot be told that the agent lives: %s", exc)
