"""InvokeCommand, RunCommand, StopInvocation, DescribeInvocations."""

from collections.abc import Mapping

from ....broker_config.errors import NotFound
from ....broker_config.records import ScriptType
from ...api import Assistant
from ...commands import command_library
from ...fleet.targets import Targets
from ...invocations.describing import InvocationFilter, InvocationListing
from ...shapes import invocation_shape
from ..access.scope_guard import visible_to
from ..api_errors import api_error
from ..large_answers import LargeAnswers
from .action import Action, Call, Fields
from .idempotency import once_per_token
from .instance_ids import one_instance_id_of, require_named_where_given
from .operating_systems import refuse_if_none_fits
from .request_values import (
    content_of,
    counted_instance_ids_of,
    encoding_of,
    page_fields,
    page_request_of,
    tag_filter_of,
    targets_of,
)
from .run_request import run_options_of

#: The service's own ceiling for one StopInvocation, applied only with limits.strict.
STRICT_STOP_COUNT = 50
_NO_CEILING = 1_000_000
#: Output of all instances in one answer of DescribeInvocations: that of a thousand with all that they keep by default.
MOST_OUTPUT_BYTES = 32 * 1024 * 1024


class InvocationActions:
    """Running commands, and looking at what runs."""

    def __init__(self, assistant: Assistant, large_answers: LargeAnswers) -> None:
        self._assistant = assistant
        self._large_answers = large_answers

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {
            "InvokeCommand": self.invoke_command,
            "RunCommand": self.run_command,
            "StopInvocation": self.stop_invocation,
            "DescribeInvocations": self.describe_invocations,
        }

    def invoke_command(self, call: Call) -> Fields:
        """Invoke a stored command on instances; answers when it is dispatched."""
        command_id = call.parameters.required("CommandId")
        targets = targets_of(call)
        # Before the token: a repeated request must get its first answer even if the command is gone by now.
        return once_per_token(self._assistant.redis, call, lambda: self._invoke(call, command_id, targets))

    def run_command(self, call: Call) -> Fields:
        """Run a script; unless KeepCommand is set, its command is no part of the library."""
        given = call.parameters
        kind = given.required("Type")
        content = content_of(
            given,
            "CommandContent",
            encoding_name="ContentEncoding",
            base64_by_default=False,
            decode_code="CmdContent.DecodeError",
        )
        targets = targets_of(call)
        options = run_options_of(call)
        enable_parameter = given.boolean("EnableParameter", False)
        keep_command = given.boolean("KeepCommand", False)

        def act() -> dict[str, object]:
            self._check_operating_systems(kind, targets)
            invoked = self._assistant.run_command(
                content,
                targets,
                options,
                type=kind,
                name=given.text("Name"),
                description=given.text("Description"),
                enable_parameter=enable_parameter,
                keep_command=keep_command,
            )
            return {"CommandId": invoked.command_id, "InvokeId": invoked.invoke_id}

        return once_per_token(self._assistant.redis, call, act)

    def stop_invocation(self, call: Call) -> Fields:
        """End an invocation on all or some instances; what is over already is left alone."""
        invoke_id = call.parameters.required("InvokeId")
        most = STRICT_STOP_COUNT if self._assistant.settings.limits.strict else _NO_CEILING
        ids = counted_instance_ids_of(call, most=most)
        require_named_where_given(call.parameters, ids)
        self._assistant.stop_invocation(invoke_id, ids)
        return {}

    def describe_invocations(self, call: Call) -> Fields:
        """List invocations, newest first, each with the latest execution of its instances."""
        given = call.parameters
        page_request = page_request_of(call)
        instance_id = one_instance_id_of(given)
        status = given.text("InvokeStatus") or given.text("InvocationStatus")
        if instance_id and status == "PartialFailed":
            raise api_error(
                "InvalidParameter.InvokeStatus", "InvokeStatus=PartialFailed cannot be used with an InstanceId."
            )
        wanted = InvocationFilter(
            invoke_id=given.text("InvokeId"),
            command_id=given.text("CommandId"),
            instance_id=instance_id,
            # The API looks at neither of these two beside an instance.
            command_name="" if instance_id else given.text("CommandName"),
            command_type=given.text("CommandType"),
            repeat_mode="" if instance_id else given.text("RepeatMode"),
            timed=given.boolean("Timed", None),
            status=status,
            resource_group_id=given.text("ResourceGroupId"),
            tags=tag_filter_of(given),
            visible=visible_to(call, self._assistant.redis),
        )
        include_output = given.boolean("IncludeOutput", False) and bool(wanted.invoke_id or instance_id)
        encoding = encoding_of(given)
        listing = InvocationListing(self._assistant.redis, wanted, page_request)
        with self._large_answers.room_for(listing.row_count):
            found = listing.with_rows(with_output=include_output, most_output_bytes=MOST_OUTPUT_BYTES)
            entries = [
                call.written("Invocation", invocation_shape(one, encoding, include_output=include_output))
                for one in found
            ]
        return {**page_fields(listing.page, call.caller), "Invocations": {"Invocation": entries}}

    def _invoke(self, call: Call, command_id: str, targets: Targets) -> dict[str, object]:
        command = command_library.load(self._assistant.redis, command_id)
        options = run_options_of(call)
        self._check_operating_systems(command.type.value, targets)
        invoked = self._assistant.invoke_command(command_id, targets, options)
        return {"InvokeId": invoked.invoke_id}

    def _check_operating_systems(self, kind: str, targets: Targets) -> None:
        try:
            wanted = ScriptType(kind)
        except ValueError as exc:
            raise NotFound(f"there is no command type {kind[:40]!r}", code="InvalidCmdType.NotFound") from exc
        refuse_if_none_fits(self._assistant.redis, wanted, targets.instance_ids)
