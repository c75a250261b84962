"""Refuse a bad request with the API's code, the reason and the remedy. Pure."""

import base64
import binascii
import re
from collections.abc import Mapping

from ..broker_config.errors import NotFound, Refused, RequestInvalid
from ..broker_config.records import ScriptType
from ..broker_config.settings_table import LimitSettings

NAME_CHARACTERS = 128
DESCRIPTION_CHARACTERS = 512
WORKING_DIRECTORY_CHARACTERS = 200
USERNAME_CHARACTERS = 255
LAUNCHER_BYTES = 1024
TIMEOUT_SECONDS_MIN = 10
TAGS_COUNT = 20
TAG_KEY_CHARACTERS = 64
#: A key that is given to a thing which exists already may be longer, and so may one that is looked for.
LATER_TAG_KEY_CHARACTERS = 128
TAG_VALUE_CHARACTERS = 128
CLIENT_TOKEN_CHARACTERS = 64
RESOURCE_GROUP_CHARACTERS = 64
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: A description may have several lines.
_LAYOUT = dict.fromkeys(map(ord, "\n\r\t"), " ")


def decode_base64(text: str) -> bytes:
    """Decode content that was handed in as Base64; line breaks are fine, anything else foreign is not.

    A space least of all: it is what a form makes of a ``+``, and without it there is another script.

    Raises:
        RequestInvalid: it is not Base64 (``CmdContent.DecodeError``).
    """
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise RequestInvalid(
            f"the content is not valid Base64 ({exc}); pass plain text, or encode it with: base64 -w0 FILE",
            code="CmdContent.DecodeError",
        ) from exc


def script_type(text: str) -> ScriptType:
    """Recognise a command type."""
    try:
        return ScriptType(text)
    except ValueError as exc:
        known = ", ".join(kind.value for kind in ScriptType)
        raise NotFound(f"no command type {text!r}; use one of {known}", code="InvalidCmdType.NotFound") from exc


def name(text: str) -> str:
    """Check a command's name."""
    if not text:
        raise RequestInvalid("a command needs a name (--name)", code="MissingName")
    short_enough(text, "name", NAME_CHARACTERS, "CmdName.ExceedLimit")
    _printable(text, "name", "InvalidParameterCharacter.CommandName")
    return text


def instance_name(text: str) -> str:
    """Check what people call an instance; empty is fine."""
    short_enough(text, "name", NAME_CHARACTERS, "InstanceName.ExceedLimit", RequestInvalid)
    if _CONTROL.search(text):
        raise RequestInvalid("the name holds a control character", code="InstanceName.InvalidPattern")
    return text


def description(text: str) -> str:
    """Check a command's description."""
    short_enough(text, "description", DESCRIPTION_CHARACTERS, "CmdDesc.ExceedLimit")
    printable_lines(text, "description", "InvalidParameterCharacter.CommandDescription")
    return text


def content(data: bytes, limits: LimitSettings) -> bytes:
    """Check a command's content: there, and within the limit in its Base64 form."""
    if not data:
        raise RequestInvalid("the content is empty; pass a script", code="MissingCommandContent")
    content_size(len(data), limits)
    return data


def content_size(size_bytes: int, limits: LimitSettings) -> None:
    """Check the size of a content that need not be there yet."""
    encoded_bytes = -(-size_bytes // 3) * 4
    if encoded_bytes > limits.content_bytes:
        raise Refused(
            f"the content has {encoded_bytes} bytes in Base64; at most {limits.content_bytes} "
            "(limits.content_bytes). Send a file and run that, or fetch the script from where it lives",
            code="CmdContent.ExceedLimit",
        )


def working_directory(text: str) -> str:
    """Check a working directory's form; whether it exists is for the instance to say."""
    short_enough(text, "working directory", WORKING_DIRECTORY_CHARACTERS, "InvalidParameter.WorkingDir", RequestInvalid)
    _printable(text, "working directory", "InvalidParameterCharacter.CommandWorkingDir")
    return text


def username(text: str) -> str:
    """Check a user name's form; whether the user exists is for the instance to say."""
    short_enough(text, "user name", USERNAME_CHARACTERS, "Username.ExceedLimit")
    _printable(text, "user name", "InvalidParameter.Username")
    return text


def launcher(text: str) -> str:
    """Check a launcher's length."""
    if len(text.encode()) > LAUNCHER_BYTES:
        raise Refused(f"the launcher is longer than {LAUNCHER_BYTES} bytes", code="InvalidLauncher.LengthLimitExceeded")
    _printable(text, "launcher", "InvalidParameter.Launcher")
    return text


def timeout_seconds(value: int, limits: LimitSettings) -> int:
    """Check a timeout; less than ten seconds is raised to ten, as the service does."""
    if value > limits.timeout_seconds_max:
        raise Refused(
            f"a timeout of {value} s is over the limit of {limits.timeout_seconds_max} s (limits.timeout_seconds_max)",
            code="InvalidTimeout.ExceedLimit",
        )
    if value <= 0:
        raise RequestInvalid(f"a timeout must be a positive number of seconds, not {value}", code="InvalidTimeout")
    return max(TIMEOUT_SECONDS_MIN, value)


def grace_seconds(value: float, limits: LimitSettings) -> float:
    """Check the time between TERM and KILL; 0 leaves it to the agent."""
    # Also what is no number.
    if not 0 <= value <= limits.timeout_seconds_max:
        raise RequestInvalid(
            f"--grace must be between 0 and {limits.timeout_seconds_max} seconds (limits.timeout_seconds_max), "
            f"not {value:g}",
            code="InvalidParameter.Grace",
        )
    return value


def deliver_within_seconds(value: int, limits: LimitSettings) -> int:
    """Check a delivery deadline."""
    if not 1 <= value <= limits.deliver_within_seconds_max:
        raise RequestInvalid(
            f"--deliver-within must be between 1 and {limits.deliver_within_seconds_max} seconds, not {value}",
            code="InvalidParameter.DeliverWithin",
        )
    return value


def termination_mode(text: str) -> str:
    """Check what a stop or a timeout ends."""
    if text not in ("", "Process", "ProcessTree"):
        raise NotFound(
            f"no termination mode {text!r}; use ProcessTree (default) or Process",
            code="InvalidTerminationMode.NotFound",
        )
    return text


def tags(given: Mapping[str, str], *, key_characters: int = TAG_KEY_CHARACTERS) -> dict[str, str]:
    """Check tags to be attached."""
    if len(given) > TAGS_COUNT:
        raise RequestInvalid(f"{len(given)} tags given; at most {TAGS_COUNT}", code="NumberExceed.Tags")
    for key, value in given.items():
        if not key:
            raise RequestInvalid("a tag has no key", code="MissingParameter.TagKey")
        bad_key = len(key) > key_characters or key.startswith(("aliyun", "acs:")) or "://" in key
        if bad_key or "=" in key or _CONTROL.search(key):
            raise RequestInvalid(
                f"tag key {key[:70]!r} is not allowed: at most {key_characters} characters, no '=', no URL, "
                "no control character, not starting with aliyun or acs:",
                code="InvalidTagKey.Malformed",
            )
        bad_value = len(value) > TAG_VALUE_CHARACTERS or "http://" in value or "https://" in value
        if bad_value or _CONTROL.search(value):
            raise RequestInvalid(
                f"the value of tag {key!r} is not allowed: at most {TAG_VALUE_CHARACTERS} characters, no URL, "
                "no control character",
                code="InvalidTagValue.Malformed",
            )
    return dict(given)


def resource_group_id(text: str) -> str:
    """Check the id of a resource group: any will do that could be one, for groups are not kept here."""
    if len(text) > RESOURCE_GROUP_CHARACTERS or not text.isascii() or not text.isprintable():
        raise NotFound(
            f"there is no resource group {text[:40]!r}: an id has at most {RESOURCE_GROUP_CHARACTERS} printable ASCII "
            "characters",
            code="InvalidResourceGroup.NotFound",
        )
    return text


def client_token(text: str) -> str:
    """Check a client token: up to 64 ASCII characters."""
    if len(text) > CLIENT_TOKEN_CHARACTERS or not text.isascii() or not text.isprintable():
        raise RequestInvalid(
            f"a client token is at most {CLIENT_TOKEN_CHARACTERS} printable ASCII characters",
            code="InvalidClientToken.Malformed",
        )
    return text


def short_enough(
    text: str, what: str, most: int, code: str, refusal: type[Refused] | type[RequestInvalid] = Refused
) -> None:
    """Refuse a text of more than so many characters."""
    if len(text) > most:
        raise refusal(f"the {what} has {len(text)} characters; at most {most}", code=code)


def printable_lines(text: str, what: str, code: str) -> None:
    """Refuse control characters but those that lay out text."""
    _printable(text.translate(_LAYOUT), what, code)


def _printable(text: str, what: str, code: str) -> None:
    if _CONTROL.search(text):
        raise Refused(f"the {what} holds a control character", code=code)
