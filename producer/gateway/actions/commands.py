"""CreateCommand, ModifyCommand, DeleteCommand, DescribeCommands."""

from collections.abc import Mapping

from ...api import Assistant
from ...commands.command_library import CommandFilter
from ...shapes import command_shape
from ...validation import DESCRIPTION_CHARACTERS, NAME_CHARACTERS
from ..access.scope_guard import visible_to
from ..api_errors import api_error
from ..domain_errors import renamed_codes
from .action import Action, Call, Fields
from .idempotency import once_per_token
from .request_values import content_of, encoding_of, page_fields, page_request_of, tag_filter_of, tags_of, timeout_of

#: Where ModifyCommand's parameters go.
_CHANGEABLE: Mapping[str, str] = {
    "Name": "name",
    "Description": "description",
    "WorkingDir": "working_directory",
    "Launcher": "launcher",
    # A field of our own, as in CreateCommand: the service names the account only when a command is run.
    "Username": "username",
}


class CommandActions:
    """The library of commands."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {
            "CreateCommand": self.create_command,
            "ModifyCommand": self.modify_command,
            "DeleteCommand": self.delete_command,
            "DescribeCommands": self.describe_commands,
        }

    def create_command(self, call: Call) -> Fields:
        """Store a command."""
        given = call.parameters
        name = given.required("Name")
        kind = given.required("Type")
        content = content_of(
            given,
            "CommandContent",
            encoding_name="ContentEncoding",
            base64_by_default=True,
            decode_code="CmdContent.DecodeError",
        )
        timeout_seconds = timeout_of(given, 60)
        enable_parameter = given.boolean("EnableParameter", False)
        tags = tags_of(given)

        def act() -> dict[str, object]:
            return {
                "CommandId": self._assistant.create_command(
                    name=name,
                    type=kind,
                    content=content,
                    description=given.text("Description"),
                    working_directory=given.text("WorkingDir"),
                    timeout_seconds=timeout_seconds,
                    username=given.text("Username"),
                    launcher=given.text("Launcher"),
                    enable_parameter=enable_parameter,
                    secret_parameters=given.list_of("SecretParameterName"),
                    resource_group_id=given.text("ResourceGroupId"),
                    tags=tags,
                )
            }

        return once_per_token(self._assistant.redis, call, act)

    def modify_command(self, call: Call) -> Fields:
        """Change what later runs use; content and type of a command never change."""
        given = call.parameters
        command_id = given.required("CommandId")
        changes: dict[str, str | int] = {
            ours: given.text(theirs) for theirs, ours in _CHANGEABLE.items() if theirs in given
        }
        if given.text("Timeout"):
            changes["timeout_seconds"] = timeout_of(given, 60)
        self._assistant.modify_command(command_id, **changes)
        return {}

    def delete_command(self, call: Call) -> Fields:
        """Delete a command that nothing unfinished uses."""
        self._assistant.delete_command(call.parameters.required("CommandId"))
        return {}

    def describe_commands(self, call: Call) -> Fields:
        """List commands, newest first. There are no public ones here, so a Provider finds nothing."""
        given = call.parameters
        page_request = page_request_of(call)
        _check_length(given.text("Name"), NAME_CHARACTERS, "InvalidName.LengthLimitExceeded")
        _check_length(given.text("Description"), DESCRIPTION_CHARACTERS, "InvalidDescription.LengthLimitExceeded")
        wanted = CommandFilter(
            command_id=given.text("CommandId"),
            name=given.text("Name"),
            description=given.text("Description"),
            type=given.text("Type"),
            resource_group_id=given.text("ResourceGroupId"),
            tags=tag_filter_of(given),
            visible=visible_to(call, self._assistant.redis),
        )
        encoding = encoding_of(given)
        with renamed_codes({"InvalidCmdType.NotFound": "InvalidCommandType.NotFound"}):
            page = self._assistant.describe_commands(wanted, page_request)
        items = [] if given.text("Provider") else [command_shape(one, encoding) for one in page.items]
        fields = page_fields(page, call.caller)
        if given.text("Provider"):
            fields.update(TotalCount=0, NextToken="")
        return {**fields, "Commands": {"Command": items}}


def _check_length(text: str, most_characters: int, code: str) -> None:
    # Two stars may stand around a text of full length.
    if len(text) > most_characters + 2:
        raise api_error(code, f"{len(text)} characters were given; at most {most_characters} are allowed.")
