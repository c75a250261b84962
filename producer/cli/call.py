"""One call of ``assist``: what was asked of all commands, and where its answer goes.

Standard output carries data, standard error carries talk. Nothing here is imported that the help does not need.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...broker_config.programs.printable import clean_json

if TYPE_CHECKING:
    from ...broker_config.settings import Loaded
    from ..api import Assistant

#: A server that does not take our connection in this time counts as not there.
CONNECT_TIMEOUT_SECONDS = 1.3


class Call:
    """The options of every command, the control side they lead to, and both outputs."""

    def __init__(self) -> None:
        self.output = "text"
        self.redis_url = ""
        self.home = ""
        self.config = ""
        self.debug = False
        #: Invocations made by this call, in their order.
        self.dispatched: list[str] = []
        self._gathered: list[Any] | None = None
        self._is_mid_line = False

    @property
    def wants_json(self) -> bool:
        """Whether the answer is for a program."""
        return self.output == "json"

    @cached_property
    def loaded(self) -> "Loaded":
        """The settings, read once.

        Raises:
            SettingsInvalid: one of them cannot be used.
        """
        from ...broker_config.settings import load  # lazy: the help needs it not

        given = {"redis_url": self.redis_url, "home": self.home}
        return load({name: value for name, value in given.items() if value}, config=self.config)

    @cached_property
    def assistant(self) -> "Assistant":
        """The control side; nothing is connected until it is used."""
        from ..api import Assistant  # lazy: the help needs it not

        assistant = Assistant(settings=self.loaded.settings)
        assistant.redis.connect_timeout_seconds = CONNECT_TIMEOUT_SECONDS
        return assistant

    def close(self) -> None:
        """Close connections, if there are any."""
        if "assistant" in self.__dict__:
            self.assistant.close()

    def redis_shown(self) -> str:
        """Where Redis is, without the password; empty when the settings were never read."""
        if "loaded" not in self.__dict__:
            return ""
        from ...broker_config.redis.url import parse_url  # lazy: the help needs it not

        return parse_url(self.loaded.settings.redis_url).shown()

    def note_dispatched(self, *invoke_ids: str) -> None:
        """Remember what was dispatched: whoever cannot read the answer is told of it all the same."""
        self.dispatched += [one for one in invoke_ids if one not in self.dispatched]

    def print(self, text: str = "") -> None:
        """Write a line of data."""
        sys.stdout.write(text + "\n")

    def print_bytes(self, data: bytes) -> None:
        """Write bytes as they are, at once."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        self._is_mid_line = not data.endswith(b"\n") if data else self._is_mid_line

    @contextmanager
    def gathering_json(self) -> Iterator[None]:
        """Have the objects that are printed inside leave as one list, at its end, also when that is an error."""
        gathered: list[Any] = []
        self._gathered = gathered
        try:
            yield
        finally:
            self._gathered = None
            if gathered:
                self.print_json(gathered)

    def print_json(self, shape: Any) -> None:
        """Write the one object or list of this call."""
        if self._gathered is not None:
            self._gathered.append(shape)
            return
        import msgspec  # lazy: the help needs it not

        text = msgspec.json.format(msgspec.json.encode(shape), indent=2).decode()
        self.print_bytes(clean_json(text).encode() + b"\n")

    def tell(self, shape: Any, text: str) -> None:
        """Write an object for a program, or a line of talk for a person."""
        if self.wants_json:
            self.print_json(shape)
        else:
            self.say(text)

    def say(self, text: str) -> None:
        """Write a line of talk, after the data so far; where it cannot be written, the data are still the answer."""
        sys.stdout.flush()
        # Where both share a screen, talk begins in a line of its own; elsewhere not a byte is added.
        gap = "\n" if self._is_mid_line and sys.stdout.isatty() and sys.stderr.isatty() else ""
        self._is_mid_line = False
        try:
            sys.stderr.write(f"{gap}{text}\n")
            sys.stderr.flush()
        except BrokenPipeError:
            raise
        except OSError:
            from ...broker_config.programs.output_end import forget  # lazy: hardly ever needed

            forget(sys.stderr)

    def say_bytes(self, data: bytes) -> None:
        """Write what a script wrote to its standard error, as it is."""
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()
