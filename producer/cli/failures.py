"""Say what went wrong in one line, and with which exit code the program ends."""

import re
import sys
import traceback

import click

from ...broker_config.errors import CloudAssistantError, RedisNotTrusted, RedisRefused, RedisUnreachable
from ...broker_config.programs.output_end import TAKES_NO_MORE, forget, why_not_written
from ...broker_config.programs.usage_line import one_line, usage_line
from ...broker_config.redis.remedies import with_remedy
from . import exit_codes
from .call import Call

#: What Python makes of a byte of the command line that is no UTF-8.
_UNDECODED = re.compile("[\udc80-\udcff]")


class Detached(Exception):
    """Somebody pressed Ctrl-C while we waited for an invocation, which goes on."""

    def __init__(self, invoke_id: str) -> None:
        super().__init__(invoke_id)
        self.invoke_id = invoke_id


def report(error: Exception, call: Call) -> int:
    """Tell a person on standard error, and answer the exit code."""
    if call.debug:
        traceback.print_exception(error)
    if isinstance(error, Detached):
        _say(
            f"no longer waiting; {error.invoke_id} goes on. Watch it again: assist invocation follow {error.invoke_id}"
            f"; stop it: assist invocation stop {error.invoke_id}"
        )
        return exit_codes.INTERRUPTED
    if isinstance(error, CloudAssistantError):
        _say(f"{_text_of(error, call)} ({error.code})")
        return exit_codes.code_of(error)
    if isinstance(error, click.ClickException):
        _say(usage_line(error, "assist"))
        return exit_codes.WRONG_USAGE
    if isinstance(error, OSError) and error.filename is not None:
        named = one_line(str(error.filename))
        _say(f"cannot use {named}: {error.strerror}; name a file that you may read or write (FileNotUsable)")
        return exit_codes.REFUSED
    if isinstance(error, OSError) and error.errno in TAKES_NO_MORE:
        _say(f"cannot write: {why_not_written(error)}{_how_to_read_again(call)} (NotWritten)")
        return exit_codes.REFUSED
    if isinstance(error, UnicodeEncodeError) and _UNDECODED.match(error.object[error.start]):
        _say("an argument holds bytes that are not UTF-8; give it in UTF-8, or a script in a --file (InvalidUsage)")
        return exit_codes.WRONG_USAGE
    _say(f"a defect in assist: {type(error).__name__}: {one_line(str(error))}; --debug shows where (InternalError)")
    return exit_codes.DEFECT


def _how_to_read_again(call: Call) -> str:
    if not call.dispatched:
        return ", and ask again for what is missing"
    # To ask again would run it once more.
    shown = "; ".join(f"assist invocation show {one}" for one in call.dispatched)
    return f". It was dispatched all the same; see it with: {shown}"


def _text_of(error: CloudAssistantError, call: Call) -> str:
    text = one_line(str(error))
    shown = call.redis_shown()
    if isinstance(error, RedisNotTrusted):
        return text
    if isinstance(error, RedisUnreachable):
        where = f" ({shown})" if shown and shown not in text else ""
        return f"{text}{where}; start a local system with `assist up`, or name the Redis to use with --redis-url"
    if isinstance(error, RedisRefused):
        return f"Redis at {shown} refuses: {one_line(with_remedy(error))}"
    return text


def _say(text: str) -> None:
    for stream, line in ((sys.stdout, ""), (sys.stderr, f"assist: {text}\n")):
        try:
            stream.write(line)
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError:
            forget(stream)  # the exit code says it all the same
