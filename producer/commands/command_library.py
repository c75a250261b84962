"""The library of stored commands."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ...broker_config import keys
from ...broker_config.clock import now_ms
from ...broker_config.errors import NotFound, RecordUnreadable, Refused, RequestInvalid
from ...broker_config.functions import commands as functions
from ...broker_config.functions.function_library import run_apart
from ...broker_config.ids import new_id
from ...broker_config.programs.counted import counted
from ...broker_config.records import Command, ScriptType, decode_command, encode
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import Command as RedisCommand
from ...broker_config.security.signing import MasterKeys
from ...broker_config.settings_table import LimitSettings
from ...broker_config.unreadable import raised, read_or_tell, whole
from .. import validation
from ..argument_kinds import must_be, must_be_several
from ..fleet import tagging
from ..matching import has_tags, like
from ..paging import Page, PageRequest, page_of_list, read_page
from ..visibility import EVERYTHING, Visible, raised_if_seen
from . import script_parameters
from .command_seal import check_seal, sealed
from .secret_parameters import check_declared

KIND = "command"


class CommandFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which commands are wanted; empty fields do not filter. Names may hold ``*`` at either end."""

    command_id: str = ""
    name: str = ""
    description: str = ""
    type: str = ""
    resource_group_id: str = ""
    tags: Mapping[str, str | None] = {}
    visible: Visible = EVERYTHING


class StoredCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command and how often it was invoked."""

    command: Command
    invoke_count: int


def build_command(
    limits: LimitSettings,
    *,
    name: str,
    type: str,
    content: bytes,
    description: str = "",
    working_directory: str = "",
    timeout_seconds: int = 60,
    username: str = "",
    launcher: str = "",
    enable_parameter: bool = False,
    declared_parameters: Sequence[str] = (),
    secret_parameters: Sequence[str] = (),
    resource_group_id: str = "",
    tags: Mapping[str, str] | None = None,
    kept: bool = True,
) -> Command:
    """Check every part of a command and make its record; nothing is stored.

    ``declared_parameters`` reach the script as environment variables alone and need no braces in its text.
    ``secret_parameters`` too, and must have none: their values are encrypted to each instance.

    Raises:
        RequestInvalid, NotFound, Refused: with the API's code.
    """
    must_be_several(declared_parameters, "declared_parameters")
    must_be_several(secret_parameters, "secret_parameters")
    validation.content(content, limits)
    in_text = script_parameters.names_in(content) if enable_parameter else ()
    spelled = {one.lower() for one in in_text}
    for one in declared_parameters:
        script_parameters.check_name(one)
    secret = check_declared(secret_parameters, in_text)
    spelled.update(one.lower() for one in secret)
    declared = tuple(one for one in dict.fromkeys(declared_parameters) if one.lower() not in spelled)
    script_parameters.check_variables((*in_text, *declared, *secret), (*declared, *secret))
    if len(in_text) + len(declared) + len(secret) > script_parameters.NAMES_COUNT:
        raise Refused(
            f"more than {script_parameters.NAMES_COUNT} parameters are declared", code="CmdParamCount.ExceedLimit"
        )
    return Command(
        command_id=new_id("c"),
        name=validation.name(name),
        type=validation.script_type(type),
        content=content,
        created_ms=now_ms(),
        description=validation.description(description),
        working_directory=validation.working_directory(working_directory),
        timeout_seconds=validation.timeout_seconds(timeout_seconds, limits),
        username=validation.username(username),
        launcher=validation.launcher(launcher),
        enable_parameter=enable_parameter,
        parameter_names=in_text + declared,
        secret_names=secret,
        resource_group_id=validation.resource_group_id(resource_group_id),
        tags=validation.tags(tags or {}),
        kept=kept,
    )


def create(redis: Redis, command: Command, limits: LimitSettings, master: MasterKeys | None) -> str:
    """Store a command, sealed where there is a master key, and answer its id.

    Raises:
        Refused: the library is full (``CmdCount.ExceedQuota``).
    """
    answer = functions.create_command(
        redis, command.command_id, encode(sealed(command, master)), command.created_ms, limits.commands_count
    )
    if answer == "full":
        raise Refused(
            f"the library holds {counted(limits.commands_count, 'command')} already "
            "(limits.commands_count); delete some",
            code="CmdCount.ExceedQuota",
        )
    if command.tags:
        change_tags(redis, command.command_id, dict)
    return command.command_id


def load(redis: Redis, command_id: str) -> Command:
    """Read one command.

    Raises:
        NotFound: there is none (``InvalidCmdId.NotFound``). RecordUnreadable: it cannot be read.
    """
    record = redis.call("HGET", keys.command(command_id), "record")
    if record is None:
        raise unknown_command(command_id)
    return raised(_read(command_id, record))


def _read(command_id: str, record: bytes) -> Command | RecordUnreadable:
    remedy = f"Delete it: assist command delete {command_id}"
    return read_or_tell(f"the command {command_id}", remedy, lambda: decode_command(whole(record)))


def modify(
    redis: Redis,
    command_id: str,
    limits: LimitSettings,
    changes: Mapping[str, str | int],
    master: MasterKeys | None,
) -> Command:
    """Change name, description, working_directory, timeout_seconds, launcher or username; later runs use them.

    Raises:
        NotFound: no such command. RequestInvalid, Refused: a value breaks a rule, or the command was changed in Redis.
    """
    checks: dict[str, Callable[[str], str]] = {
        "name": validation.name,
        "description": validation.description,
        "working_directory": validation.working_directory,
        "launcher": validation.launcher,
        "username": validation.username,
    }
    checked: dict[str, str | int] = {}
    for name, value in changes.items():
        if name == "timeout_seconds":
            must_be(int, value, name, "a number of seconds")
            checked[name] = validation.timeout_seconds(int(value), limits)
        elif name in checks:
            must_be(str, value, name, "a text")
            checked[name] = checks[name](str(value))
        else:
            known = ", ".join((*checks, "timeout_seconds"))
            raise RequestInvalid(f"the {name} of a command stays as it is; these can change: {known}")
    while True:
        seen = redis.call("HGET", keys.command(command_id), "record")
        if seen is None:
            raise unknown_command(command_id)
        before = raised(_read(command_id, seen))
        check_seal(command_id, before, master)
        changed = sealed(msgspec.structs.replace(before, **checked), master)
        # Else it was changed, or deleted, since.
        if functions.modify_command(redis, command_id, seen, encode(changed)) == "ok":
            return changed


def change_tags(redis: Redis, command_id: str, to: Callable[[tagging.Tags], tagging.Tags]) -> bool:
    """Replace a command's tags by what ``to`` makes of them; false when there is none."""

    def with_tags(record: bytes | None, after: tagging.Tags) -> bytes:
        return encode(msgspec.structs.replace(raised(_read(command_id, record or b"")), tags=dict(after)))

    return tagging.change(
        redis,
        KIND,
        command_id,
        (keys.command(command_id), "record"),
        to,
        tags_in=lambda record: raised(_read(command_id, record)).tags if record else None,
        with_tags=with_tags,
    )


def delete(redis: Redis, command_id: str, settle: Callable[[str], None]) -> None:
    """Delete a command; refused while an invocation of it is unfinished.

    ``settle`` is called for each invocation that still counts as unfinished, in case it has ended meanwhile.

    Raises:
        NotFound: no such command. Refused: it is in use (``InvalidStatus.CmdIdInUse``).
    """
    record = redis.call("HGET", keys.command(command_id), "record")
    if record is None:
        raise unknown_command(command_id)
    for invoke_id in redis.call("SMEMBERS", keys.command_open(command_id)):
        try:
            settle(invoke_id.decode())
        except (NotFound, RecordUnreadable) as error:
            is_gone = isinstance(error, NotFound)
            if not is_gone and not redis.call("HEXISTS", keys.invocation(invoke_id.decode()), "finished_ms"):
                raise
            # It could not be read when it was stopped, or removed for its age: nobody knew of which command it was.
            redis.call("SREM", keys.command_open(command_id), invoke_id)
    answer = functions.delete_command(redis, command_id)
    if answer == "in_use":
        raise Refused(
            f"command {command_id} is in use by an unfinished invocation; wait for it or stop it "
            f"(assist invocation list --command {command_id})",
            code="InvalidStatus.CmdIdInUse",
        )
    if answer == "unknown":
        raise unknown_command(command_id)
    deleted = _read(command_id, record)
    if not isinstance(deleted, RecordUnreadable):
        tagging.forget(redis, KIND, command_id, deleted.tags)


def describe(redis: Redis, wanted: CommandFilter, page: PageRequest) -> Page[StoredCommand]:
    """List commands, newest first; an unknown id gives an empty list."""
    if wanted.type:
        validation.script_type(wanted.type)
    if wanted.command_id:
        one = raised_if_seen(_load_all(redis, [wanted.command_id])[0], wanted.visible)
        return page_of_list([one] if one is not None and _matches(one, wanted) else [], page, repr(wanted))
    filtered = wanted != CommandFilter()
    return read_page(
        redis,
        keys.COMMANDS,
        page,
        lambda ids: _load_all(redis, ids),
        keep=(lambda one: _matches(one, wanted)) if filtered else None,
        filters=repr(wanted),
    )


def _load_all(redis: Redis, command_ids: Sequence[str]) -> list[StoredCommand | RecordUnreadable | None]:
    commands: list[RedisCommand] = []
    for one in command_ids:
        commands.append(("HGET", keys.command(one), "record"))
        commands.append(("ZCARD", keys.command_invocations(one)))
    replies = run_apart(redis, commands)
    found = [
        (_read(one, record) if record else None, count)
        for one, record, count in zip(command_ids, replies[::2], replies[1::2], strict=True)
    ]
    return [StoredCommand(command=one, invoke_count=count) if isinstance(one, Command) else one for one, count in found]


def _matches(stored: StoredCommand, wanted: CommandFilter) -> bool:
    command = stored.command
    return (
        wanted.visible.command(command.command_id)
        and (not wanted.type or command.type == ScriptType(wanted.type))
        and like(command.name, wanted.name)
        and like(command.description, wanted.description)
        and (not wanted.resource_group_id or command.resource_group_id == wanted.resource_group_id)
        and has_tags(command.tags, wanted.tags)
    )


def unknown_command(command_id: str) -> NotFound:
    """Build the refusal of an id that no command has."""
    return NotFound(f"no command {command_id}; `assist command list` shows them", code="InvalidCmdId.NotFound")
