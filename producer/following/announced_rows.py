"""Believe a ledger row that came with the announcement of its end, when it is proved to come from that instance.

Every target of an invocation knows the channel and may announce there what it likes. What proves a row is the MAC that
its agent made over the end: with the instance's key, which no other instance has, and over the execution's id.
"""

from ...broker_config.dispatch import Dispatcher
from ...broker_config.functions.executions import announced_fields
from ...broker_config.results import ExecutionRow, read_fields
from ...broker_config.security.result_signing import is_signed_result, signature_of, signing_key_id
from ...broker_config.security.signing import MasterKeys
from ...broker_config.states import OUTCOMES
from .announcements import Announcement


class AnnouncedRows:
    """Tells the rows that may be believed, of invocations that this process has dispatched."""

    def __init__(self, master: MasterKeys | None, dispatcher: Dispatcher) -> None:
        self._master = master
        self._dispatcher = dispatcher

    def believed(self, instance_id: str, announced: Announcement) -> ExecutionRow | None:
        """The row of an announced end; ``None`` when nothing proves it, and it has to be read.

        It is signed with the very key that its work order was signed with: an older one may have been stolen since.
        """
        fields = announced_fields(announced.row) if self._master is not None and announced.row else None
        if self._master is None or fields is None:
            return None
        key_id = signing_key_id(signature_of(fields))
        if key_id != self._dispatcher.signing_key_id(instance_id):
            return None
        if fields[b"state"].decode("utf-8", "replace") not in OUTCOMES:
            return None
        # A key that was signed with is there.
        key = self._master.instance_key(instance_id, key_id)
        if not is_signed_result(key, announced.execution_id, fields):
            return None
        return read_fields(announced.execution_id, fields)
