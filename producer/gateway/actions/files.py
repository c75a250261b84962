"""SendFile and DescribeSendFileResults."""

from collections.abc import Mapping

from ...api import Assistant
from ...file_delivery import FileRequest
from ...file_shapes import file_shape
from ...fleet.targets import Targets
from ...invocations.describing import InvocationFilter, InvocationListing
from ..access.scope_guard import visible_to
from ..api_errors import api_error
from ..large_answers import LargeAnswers
from .action import Action, Call, Fields
from .idempotency import once_per_token
from .instance_ids import one_instance_id_of
from .request_values import (
    content_of,
    counted_instance_ids_of,
    page_fields,
    page_request_of,
    tag_filter_of,
    tags_of,
    timeout_of,
)

#: The service's own ceiling for one SendFile, applied only with limits.strict.
STRICT_SEND_COUNT = 50
_NO_CEILING = 1_000_000
_CONTENT_TYPES = ("PlainText", "Base64")


class FileActions:
    """Files on their way to instances."""

    def __init__(self, assistant: Assistant, large_answers: LargeAnswers) -> None:
        self._assistant = assistant
        self._large_answers = large_answers

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {"SendFile": self.send_file, "DescribeSendFileResults": self.describe_send_file_results}

    def send_file(self, call: Call) -> Fields:
        """Send one small file; an owner that is not named is the agent's own user, root as a rule."""
        given = call.parameters
        name = given.required("Name")
        target_directory = given.required("TargetDir")
        content_type = given.text("ContentType") or "PlainText"
        if content_type not in _CONTENT_TYPES:
            raise api_error("FileContentType.Invalid")
        request = FileRequest(
            name=name,
            target_directory=target_directory,
            content=content_of(
                given,
                "Content",
                encoding_name="ContentType",
                base64_by_default=False,
                decode_code="FileContent.DecodeError",
            ),
            content_type=content_type,
            owner=given.text("FileOwner"),
            group=given.text("FileGroup"),
            mode=given.text("FileMode") or "0644",
            overwrite=given.boolean("Overwrite", False),
            description=given.text("Description"),
            timeout_seconds=timeout_of(given, 60),
            at_once=given.text("AtOnce"),
            stop_at=given.text("StopAt"),
            resource_group_id=given.text("ResourceGroupId"),
            tags=tags_of(given),
            requested_by=call.caller.principal,
        )
        most = STRICT_SEND_COUNT if self._assistant.settings.limits.strict else _NO_CEILING
        ids = counted_instance_ids_of(call, most=most)
        if not ids:
            raise api_error("MissingParam.InstanceId")

        def act() -> dict[str, object]:
            return {"InvokeId": self._assistant.send_file(request, Targets(instance_ids=ids)).invoke_id}

        return once_per_token(self._assistant.redis, call, act)

    def describe_send_file_results(self, call: Call) -> Fields:
        """List files that were sent, newest first, with how that went on each instance."""
        given = call.parameters
        page_request = page_request_of(call)
        wanted = InvocationFilter(
            invoke_id=given.text("InvokeId"),
            instance_id=one_instance_id_of(given),
            command_name=given.text("Name"),
            status=given.text("InvocationStatus"),
            resource_group_id=given.text("ResourceGroupId"),
            tags=tag_filter_of(given),
            visible=visible_to(call, self._assistant.redis),
            files=True,
        )
        listing = InvocationListing(self._assistant.redis, wanted, page_request)
        with self._large_answers.room_for(listing.row_count):
            found = listing.with_rows(with_output=False)
            entries = [call.written("Invocation", file_shape(one)) for one in found]
        return {**page_fields(listing.page, call.caller), "Invocations": {"Invocation": entries}}
