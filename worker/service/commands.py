"""Run the commands of a service manager and pass on what they say."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...broker_config.errors import Refused

Say = Callable[[str], None]
#: What starts, stops or restarts a service: one command, or steps that depend on how it stands.
Order = tuple[str, ...] | Callable[[Say], None]

_COMMAND_SECONDS = 90


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    command: str
    exit_code: int
    said: str

    def refused(self) -> Refused:
        """The error for one that failed."""
        said = self.said or "it said nothing"
        return Refused(f"{self.command} ended with {self.exit_code}: {said}", code="ServiceManagerFailed")


def run(command: Sequence[str], say: Say) -> None:
    """Run a command, and tell which and what it said.

    Raises:
        Refused: it cannot be run, or failed.
    """
    outcome = attempt(command)
    say(f"ran {' '.join(command)}")
    if outcome.exit_code != 0:
        raise outcome.refused()
    if outcome.said:
        say(outcome.said)


def unless(is_so: Callable[[], bool], told: str, command: tuple[str, ...]) -> Callable[[Say], None]:
    """An order that is given only where there is something to do: some managers call the other case a failure."""

    def order(say: Say) -> None:
        if is_so():
            say(told)
        else:
            run(command, say)

    return order


def attempt(command: Sequence[str]) -> Outcome:
    """Run a command that may fail.

    Raises:
        Refused: it cannot be run, or does not end.
    """
    text = " ".join(command)
    try:
        # Programs of Windows write in another code page than the one that it names for text.
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=_COMMAND_SECONDS
        )
    except FileNotFoundError as exc:
        # A path is that of the service's own script; a name is that of a service manager's program.
        mend = "make the service first: assist-agent install" if command[0].startswith("/") else "see --system"
        raise Refused(f"there is no {command[0]}; {mend}", code="ServiceManagerFailed") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Refused(f"{text}: {exc}", code="ServiceManagerFailed") from exc
    said = "\n".join(part for part in (done.stdout.strip(), done.stderr.strip()) if part)
    return Outcome(text, done.returncode, said)
