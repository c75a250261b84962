"""Send a small file to instances: checked here, written by their agents."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..broker_config.audit.chain import Send
from ..broker_config.clock import now_ms
from ..broker_config.dispatch import Dispatcher
from ..broker_config.errors import Refused, RequestInvalid
from ..broker_config.ids import new_id, new_token
from ..broker_config.messages import FileOrder
from ..broker_config.records import Command, FileOptions, Invocation, Schedule, ScriptType
from ..broker_config.settings_table import LimitSettings
from . import validation
from .invocations import pacing

NAME_CHARACTERS = 255
TARGET_DIRECTORY_CHARACTERS = 255
ACCOUNT_CHARACTERS = 64
_MODE = re.compile(r"[0-7]{3,4}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@\\-]*\$?")


@dataclass(frozen=True, kw_only=True)
class FileRequest:
    """One file, where it goes, and whose it is to be: the agent's user's, unless owner or group say otherwise."""

    name: str
    target_directory: str
    content: bytes
    content_type: str = "PlainText"
    owner: str = ""
    group: str = ""
    mode: str = "0644"
    overwrite: bool = False
    description: str = ""
    timeout_seconds: int = 60
    deliver_within_seconds: int = 0
    #: How many instances get it at the same time, and how many failures end it: ``10`` or ``10%`` of the targets.
    at_once: str = ""
    stop_at: str = ""
    resource_group_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    requested_by: str = ""


def send(
    dispatcher: Dispatcher,
    request: FileRequest,
    targets: Sequence[str],
    limits: LimitSettings,
    *,
    done_channel: str,
    enter: Callable[[str], Callable[[Send], list[Any]] | None],
) -> Invocation:
    """Dispatch a file to instances; answers the record of it (``f-…``).

    ``enter`` is given that id and answers what enters the delivery in the audit.

    Raises:
        RequestInvalid, Refused: with the API's code for each way of being wrong.
        NotFound: an instance is not registered.
    """
    _check(request, limits)
    invocation = _record(request, limits, target_count=len(targets), done_channel=done_channel)
    order = FileOrder(
        name=request.name,
        target_directory=request.target_directory,
        content=request.content,
        owner=request.owner,
        group=request.group,
        mode=request.mode,
        overwrite=request.overwrite,
        timeout_seconds=invocation.timeout_seconds,
    )
    dispatcher.create(invocation, order, targets, enter=enter(invocation.invoke_id))
    return invocation


def _record(request: FileRequest, limits: LimitSettings, *, target_count: int, done_channel: str) -> Invocation:
    created_ms = now_ms()
    content = Command(
        command_id=new_id("c"),
        name=request.name,
        type=ScriptType.SHELL,
        content=request.content,
        created_ms=created_ms,
        description=request.description,
        kept=False,
    )
    within_seconds = request.deliver_within_seconds or limits.deliver_within_seconds
    return Invocation(
        invoke_id=new_id("f"),
        command=content,
        created_ms=created_ms,
        target_count=target_count,
        done_channel=done_channel,
        payload_token=new_token(),
        timeout_seconds=validation.timeout_seconds(request.timeout_seconds, limits),
        deliver_within_seconds=validation.deliver_within_seconds(within_seconds, limits),
        file=FileOptions(
            name=request.name,
            target_directory=request.target_directory,
            owner=request.owner,
            group=request.group,
            mode=request.mode,
            overwrite=request.overwrite,
            content_type=request.content_type,
        ),
        pacing=pacing.of_request(request.at_once, request.stop_at, target_count, Schedule()),
        resource_group_id=validation.resource_group_id(request.resource_group_id),
        tags=validation.tags(request.tags),
        requested_by=request.requested_by,
    )


def _check(request: FileRequest, limits: LimitSettings) -> None:
    validation.short_enough(request.name, "file's name", NAME_CHARACTERS, "FileName.ExceedLimit")
    if not request.name:
        raise RequestInvalid("the file needs a name", code="MissingName")
    _check_directory(request.target_directory)
    encoded_bytes = -(-len(request.content) // 3) * 4
    if encoded_bytes > limits.file_bytes:
        raise Refused(
            f"the file has {encoded_bytes} bytes in Base64; at most {limits.file_bytes} (limits.file_bytes)",
            code="FileSize.ExceedLimit",
        )
    if not _MODE.fullmatch(request.mode):
        raise RequestInvalid(f"{request.mode[:20]!r} is not a file mode such as 0644", code="FileMode.Invalid")
    for value, code in ((request.owner, "InvalidParameter.FileOwner"), (request.group, "InvalidParameter.FileGroup")):
        if value and (len(value) > ACCOUNT_CHARACTERS or not _ACCOUNT.fullmatch(value)):
            raise RequestInvalid(f"{value[:80]!r} cannot be the name of a user or group", code=code)
    if len(request.description) > validation.DESCRIPTION_CHARACTERS:
        raise Refused("the description is too long", code="FileDesc.ExceedLimit")
    if request.content_type not in ("PlainText", "Base64"):
        raise RequestInvalid(f"no content type {request.content_type[:20]!r}", code="FileContentType.Invalid")


def _check_directory(path: str) -> None:
    is_absolute = path.startswith("/") or re.match(r"[A-Za-z]:[\\/]", path) is not None
    if not is_absolute or len(path) > TARGET_DIRECTORY_CHARACTERS or any(ord(character) < 32 for character in path):
        raise RequestInvalid(
            f"the target directory must be an absolute path of at most {TARGET_DIRECTORY_CHARACTERS} characters, "
            "none of them a control character",
            code="FileTargetDir.Invalid",
        )
