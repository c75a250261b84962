"""One socket to Redis that speaks RESP2: connect, sign in, send packed commands, read replies.

hiredis packs and parses; this file only moves bytes. redis-py is not used because importing it costs 150 ms and 16 MB
here (it brings asyncio along) and 60–100 µs of CPU per command: more than the whole command line may take. Flower alone
reads its events through kombu's own transport, and so through redis-py.
"""

import contextlib
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import hiredis

from ..errors import RedisNotTrusted, RedisRefused, RedisUnreachable
from .url import RedisAddress

if TYPE_CHECKING:
    from .tls import TlsClient

Argument = str | bytes | int | float
Command = Sequence[Argument]

_READ_BYTES = 65536


class RedisConnection:
    """A signed-in connection. Not for use by two threads at once."""

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout_seconds: float,
        connect_timeout_seconds: float,
        name: str,
        questions: Sequence[Command] = (),
    ) -> None:
        """Connect and sign in. With ``timeout_seconds=0`` nothing is ever waited for after that: see ``read_ready``.

        ``questions`` go along with the greeting; their replies are in ``answers``. A server that does not accept us
        may run them all the same, as somebody else's or on another database, so they must change nothing.

        Raises:
            RedisUnreachable: no server answers there in time.
            RedisRefused: the server does not accept the user, the password or the database.
        """
        self._timeout_seconds = timeout_seconds
        self._reader = hiredis.Reader()
        #: Names of the commands whose replies are left for the next reader, in their order.
        self._owed: deque[str] = deque()
        self._tls = address.tls
        # Until it has greeted us, a server that takes connections and says nothing counts as not there.
        self._socket = _connect(address, connect_timeout_seconds)
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(self._socket, select.POLLIN)
        greeting: list[Command] = []
        if address.password:
            greeting.append(("AUTH", address.user, address.password) if address.user else ("AUTH", address.password))
        if address.db:
            greeting.append(("SELECT", address.db))
        greeting.append(("CLIENT", "SETNAME", name))
        try:
            replies = self._greet([*greeting, *questions], address)
            #: Error replies among them are each a ``hiredis.ReplyError``.
            self.answers = replies[len(greeting) :]
            for reply in replies[: len(greeting) - 1]:
                if isinstance(reply, hiredis.ReplyError):
                    raise RedisRefused(str(reply))
        except BaseException:
            self.close()
            raise
        self._set_timeout(timeout_seconds)

    def _greet(self, greeting: Sequence[Command], address: RedisAddress) -> list[Any]:
        """Say who we are. Since TLS 1.3 a server says only now that it misses a client certificate."""
        try:
            return self.exchange(greeting)
        except RedisUnreachable as exc:
            reason, shown = exc.__cause__, address.shown()
            if address.tls and isinstance(reason, OSError):
                problem = tls_client(address).explain_hang_up(reason)
                if problem:
                    raise RedisNotTrusted(f"no TLS to Redis at {shown}: {problem}") from exc
            if not address.tls and isinstance(reason, ConnectionResetError | BrokenPipeError):
                raise RedisUnreachable(f"{exc}; if it speaks TLS there, the address begins with rediss://") from exc
            raise

    def exchange(self, commands: Sequence[Command], timeout_seconds: float | None = None) -> list[Any]:
        """Send commands and read as many replies; an error reply stands in the list as ``hiredis.ReplyError``.

        Raises:
            RedisUnreachable: the connection broke or timed out; it must not be used again.
        """
        return self.exchange_packed(b"".join(map(_pack, commands)), len(commands), timeout_seconds)

    def exchange_packed(self, packed: bytes, reply_count: int, timeout_seconds: float | None = None) -> list[Any]:
        """Send bytes that are already in RESP and read ``reply_count`` replies."""
        if timeout_seconds is not None:
            self._set_timeout(timeout_seconds)
        try:
            self._socket.sendall(packed)
            return [self._read() for _ in range(reply_count)]
        except OSError as exc:
            raise self._lost(exc) from exc
        finally:
            if timeout_seconds is not None and self._socket.fileno() >= 0:
                self._set_timeout(self._timeout_seconds)

    def read_pushed(self, timeout_seconds: float) -> Any | None:
        """Wait for a message of a subscription; ``None`` when there was none in time."""
        reply = self.read_received()
        if reply is not None:
            return reply
        try:
            decrypted = self._tls and self._socket.pending()  # type: ignore[attr-defined]  # an SSLSocket
            if not decrypted and not self.has_news(timeout_seconds):
                return None
            return self._read()
        except OSError as exc:
            raise self._lost(exc) from exc

    def read_received(self) -> Any | None:
        """The next message of a subscription that was received already; ``None`` when there is none."""
        reply = self._reader.gets()
        return None if reply is False else reply

    def receive(self) -> Any:
        """Read the reply to a command that was sent; an error reply is a ``hiredis.ReplyError``.

        Raises:
            RedisUnreachable: the connection broke or timed out; it must not be used again.
        """
        try:
            return self._read()
        except OSError as exc:
            raise self._lost(exc) from exc

    def read_ready(self) -> list[Any]:
        """Read the next reply as far as it has come: a list of it, empty while it is not whole. Never waits.

        For a connection that was made with a timeout of 0, whose ``fileno`` an event loop watches.

        Raises:
            RedisUnreachable: the connection broke; it must not be used again.
        """
        try:
            return [self._read()]
        except BlockingIOError:
            return []
        except OSError as exc:
            if self._tls and _tls_wants_more(exc):
                return []
            raise self._lost(exc) from exc

    def send(self, command: Command) -> None:
        """Send one command and read nothing: for SUBSCRIBE and the like."""
        try:
            self._socket.sendall(_pack(command))
        except OSError as exc:
            raise self._lost(exc) from exc

    def send_owing(self, command: Command) -> None:
        """Send a command whose reply nobody waits for: whoever reads here next passes over it.

        An error among such replies is told to the log. What has not come when the connection ends never does.

        Raises:
            RedisUnreachable: the connection broke; it must not be used again.
        """
        self.send(command)
        self._owed.append(str(command[1] if command[0] == "FCALL" else command[0]))

    def is_stale(self) -> bool:
        """Tell whether the server has closed, or said something unasked on, an idle connection."""
        return self._socket.fileno() < 0 or not self._take_owed()

    def has_news(self, timeout_seconds: float) -> bool:
        """Wait until there is something to read, or the end; tell whether it came in time."""
        if self._socket.fileno() < 0:
            # Closed by another thread, or by a failed write: whoever reads is told.
            return True
        # poll() and not select(), which knows 1,024 descriptors.
        if self._poll is None:
            return bool(select.select([self._socket], [], [], timeout_seconds)[0])
        return bool(self._poll.poll(timeout_seconds * 1000))

    def fileno(self) -> int:
        """The socket, for select()."""
        return self._socket.fileno()

    def shut_down(self) -> None:
        """Break the connection: whoever reads from it, or is about to, learns of it. Any thread may call this."""
        with contextlib.suppress(OSError):
            # The plain socket's way: with TLS, Python would take the session from under a thread that is reading.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; twice is harmless."""
        if self._owed and self._socket.fileno() >= 0:
            self._take_owed()
        with contextlib.suppress(OSError):
            self._socket.close()

    def _take_owed(self) -> bool:
        """Read the owed replies that have come; false when something else has, the end for one."""
        try:
            while self.has_news(0):
                if not self._owed:
                    return False
                self._pass_over()
        except OSError:
            return False
        return True

    def _set_timeout(self, seconds: float) -> None:
        """Have the kernel end a read or write that lasts too long: Python would ask it before each whether it would."""
        if seconds and not self._tls and os.name == "posix":
            limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
            self._socket.settimeout(None)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        else:
            self._socket.settimeout(seconds)

    def _lost(self, exc: OSError) -> RedisUnreachable:
        """Close, and say why."""
        self.close()
        # The kernel's word for a read or write that lasted too long.
        return RedisUnreachable(f"Redis connection lost: {'timed out' if isinstance(exc, BlockingIOError) else exc}")

    def _read(self) -> Any:
        while self._owed:
            self._pass_over()
        return self._read_next()

    def _pass_over(self) -> None:
        reply = self._read_next()
        name = self._owed.popleft()
        if isinstance(reply, hiredis.ReplyError):
            from ..programs.program_log import logger  # lazy: 10 ms that the command line does without

            logger("redis").warning("nobody waited for %s, and Redis refused it: %s", name, reply)

    def _read_next(self) -> Any:
        try:
            while (reply := self._reader.gets()) is False:
                received = self._socket.recv(_READ_BYTES)
                if not received:
                    raise ConnectionResetError("closed by the server")
                self._reader.feed(received)
        except hiredis.ProtocolError as exc:
            raise ConnectionError(f"what answers there does not speak Redis ({exc})") from exc
        return reply


def _pack(command: Command) -> bytes:
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]  # the stub says one-tuple
    return packed


def _connect(address: RedisAddress, timeout_seconds: float) -> socket.socket:
    if address.kind == "sentinel":
        return _connect_tcp(master_of(address, timeout_seconds), address, timeout_seconds)
    if address.kind == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_seconds)
        try:
            connection.connect(address.path)
        except OSError as exc:
            connection.close()
            raise RedisUnreachable(f"no Redis at {address.shown()}: {exc}") from exc
        return connection
    return _connect_tcp(address.hosts[0], address, timeout_seconds)


def _connect_tcp(target: tuple[str, int], address: RedisAddress, timeout_seconds: float) -> socket.socket:
    try:
        connection = socket.create_connection(target, timeout_seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return _secured(connection, address, target[0]) if address.tls else connection
    except RedisNotTrusted:
        raise
    except OSError as exc:
        raise RedisUnreachable(f"no Redis at {address.shown()}: {exc}") from exc


def _secured(connection: socket.socket, address: RedisAddress, server: str) -> socket.socket:
    """Put TLS on a connection.

    Raises:
        RedisNotTrusted: certificates, theirs or ours, do not allow it.
        OSError: anything else; the connection is closed.
    """
    tls = tls_client(address)
    try:
        return tls.context().wrap_socket(connection, server_hostname=server)
    except TimeoutError as exc:
        connection.close()
        raise TimeoutError(f"no answer to the TLS handshake: {server} hangs, or does not speak TLS there") from exc
    except OSError as exc:
        connection.close()
        if problem := tls.explain(exc, server):
            raise RedisNotTrusted(f"no TLS to Redis at {address.shown()}: {problem}") from exc
        raise


def tls_client(address: RedisAddress) -> "TlsClient":
    """How an address wants TLS."""
    from .tls import TlsClient  # lazy: 5 ms that only rediss:// needs

    return TlsClient(
        ca=address.ca,
        cert=address.cert,
        key=address.key,
        verify=address.verify,
        ca_option="?ca=FILE in the Redis URL",
        cert_option="?cert=FILE&key=FILE in the Redis URL",
    )


def _tls_wants_more(exc: OSError) -> bool:
    """Tell whether TLS only waits for the rest of what it needs."""
    import ssl  # lazy: only rediss:// needs it

    return isinstance(exc, ssl.SSLWantReadError)


def master_of(address: RedisAddress, timeout_seconds: float) -> tuple[str, int]:
    """Ask the sentinels in turn who the master is.

    Raises:
        RedisUnreachable: none of them says.
    """
    failures = []
    for host in address.hosts:
        sentinel = RedisAddress(
            kind="redis", hosts=(host,), user=address.sentinel_user, password=address.sentinel_password,
            tls=address.tls, ca=address.ca, cert=address.cert, key=address.key, verify=address.verify,
        )  # fmt: skip
        try:
            connection = RedisConnection(
                sentinel,
                timeout_seconds=timeout_seconds,
                connect_timeout_seconds=timeout_seconds,
                name="assist",
            )
            reply = connection.exchange([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.master)])[0]
            connection.close()
        except (RedisUnreachable, RedisRefused) as exc:
            failures.append(str(exc))
            continue
        if isinstance(reply, list):
            return reply[0].decode(), int(reply[1])
        failures.append(f"sentinel {host[0]}:{host[1]} knows no master {address.master!r}")
    raise RedisUnreachable("; ".join(failures))
