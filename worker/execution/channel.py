"""Messages and descriptors between agent, fork server and supervisors, over a pair of connected sockets.

Sequenced packets keep messages whole: one is either sent or, when the other side does not read, not sent at all.
That lets a supervisor offer live output and drop what nobody takes, without ever waiting for its agent.
"""

import array
import errno
import os
import select
import socket
from enum import IntEnum
from typing import NamedTuple

#: More than this travels in a memory file beside the message; the kernel takes about 200 KiB in one packet.
_MOST_INLINE_BYTES = 48 * 1024
#: As numbers: those of the socket module are put together by Python code, at every message.
_NO_SIGNAL, _AT_ONCE, _CLOSED_ON_EXEC, _CUT_SHORT = (
    int(getattr(socket, name, 0)) for name in ("MSG_NOSIGNAL", "MSG_DONTWAIT", "MSG_CMSG_CLOEXEC", "MSG_CTRUNC")
)
#: Room for two descriptors: the one of a message, and its body.
_RIGHTS_BYTES = socket.CMSG_LEN(2 * array.array("i").itemsize)


class Kind(IntEnum):
    """What a message is about."""

    READY = 1
    SPAWN = 2
    PLAN = 3
    STOP = 4
    STARTED = 5
    OUTPUT = 6
    ENDED = 7
    ENDED_AND_RETIRED = 8
    FORK_FAILED = 9
    TAKEN = 10
    KEPT = 11
    UNWRITTEN_CLAIM = 12


#: By number, since an enumeration looks its members up in Python code.
_KINDS = {int(kind): kind for kind in Kind}


class Message(NamedTuple):
    """One message; whoever receives it owns its descriptors."""

    kind: Kind
    body: bytes
    fds: list[int]


class Channel:
    """One end of the connection."""

    __slots__ = ("_socket",)

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """Return both ends of a new connection."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    @classmethod
    def from_fd(cls, fd: int) -> "Channel":
        """Take over an inherited or received end."""
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd))

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    def send(self, kind: Kind, body: bytes = b"", fds: tuple[int, ...] = (), *, wait: bool = True) -> None:
        """Send one message.

        Raises:
            BlockingIOError: not ``wait`` and the other side has too much unread; nothing was sent.
            ConnectionError: the other side is gone.
            OSError: there is no memory, or no descriptor; nothing was sent.
        """
        body_fd = None
        try:
            if len(body) > _MOST_INLINE_BYTES:
                body_fd = _memory_file(body)
                fds, body = (*fds, body_fd), b""
            flags = _NO_SIGNAL if wait else _NO_SIGNAL | _AT_ONCE
            header = bytes((kind, body_fd is not None))
            if fds:
                rights = array.array("i", fds)
                # Not socket.send_fds and recv_fds: those of Python 3.11 drop the flags without a word.
                self._socket.sendmsg([header, body], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], flags)
            else:
                self._socket.send(header + body, flags)
        finally:
            if body_fd is not None:
                os.close(body_fd)

    def receive(self, *, wait: bool = True) -> Message | None:
        """Return the next message, or None when the other side is gone and everything was read.

        Raises:
            BlockingIOError: not ``wait`` and there is nothing to read yet.
            OSError: there was no descriptor left for one of the message's; what it said is lost.
        """
        flags = _CLOSED_ON_EXEC if wait else _CLOSED_ON_EXEC | _AT_ONCE
        try:
            data, fds = self._receive_packet(flags)
        except ConnectionResetError:
            # The other side ended with something of ours unread. That is told once, and before its last words.
            data, fds = self._receive_packet(flags)
        if not data:
            return None
        body = data[2:]
        if data[1]:
            body = _read_whole(fds.pop())
        return Message(_KINDS[data[0]], body, fds)

    def _receive_packet(self, flags: int) -> tuple[bytes, list[int]]:
        data, ancillary, told, _ = self._socket.recvmsg(_MOST_INLINE_BYTES + 2, _RIGHTS_BYTES, flags)
        fds = array.array("i")
        for level, kind, rights in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(rights[: len(rights) - len(rights) % fds.itemsize])
        if told & _CUT_SHORT:
            for fd in fds:
                os.close(fd)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return data, fds.tolist()

    def is_alone(self) -> bool:
        """Tell whether the other side is gone, whatever of it may still be read."""
        poll = select.poll()
        poll.register(self._socket, 0)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close this end; safe to call twice."""
        self._socket.close()


def _memory_file(data: bytes) -> int:
    fd = os.memfd_create("message", os.MFD_CLOEXEC)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:
        os.close(fd)
        raise
    return fd


def _read_whole(fd: int) -> bytes:
    try:
        size = os.fstat(fd).st_size
        parts, position = [], 0
        while position < size:
            parts.append(os.pread(fd, size - position, position))
            position += len(parts[-1])
        return b"".join(parts)
    finally:
        os.close(fd)
