"""``assist invocation follow`` and ``assist invocation stop``."""

import click

from ....broker_config.errors import RecordUnreadable
from ....broker_config.ledger import load_invocation
from ..assist_command import assist_command
from ..call import Call
from ..exit_codes import DONE
from ..options.argument_types import Duration
from ..options.request_options import Waiting, takes_waiting
from ..options.target_options import instance_option
from ..printing.answers import invocation_object
from ..printing.tables import print_table
from ..watching import wait_for_end, watch
from .invocation_state import one_invocation, rows_of, stop_unreadable, stopped_shape


@assist_command("follow", examples=("assist invocation follow t-…", "assist invocation follow t-… --wait-timeout 5m"))
@click.argument("invoke_id", metavar="ID")
@click.option("--wait-timeout", type=Duration(), help="Stop waiting after this time; the scripts keep running.")
def follow(call: Call, *, invoke_id: str, wait_timeout: float | None) -> int:
    """Watch an invocation from wherever it is to its end, as `assist run` does.

    Ctrl-C only stops the watching. Exit code 0 if every script succeeded, 1 otherwise.
    """
    stored = load_invocation(call.assistant.redis, invoke_id)
    return watch(call, invoke_id, stored.record.target_count, wait_timeout)


@assist_command("stop", examples=("assist invocation stop t-…", "assist invocation stop t-… --instance i-web1 --wait"))
@click.argument("invoke_id", metavar="ID")
@instance_option("Only on this instance; may be repeated.")
@takes_waiting(default=False)
def stop(call: Call, *, invoke_id: str, instance_ids: tuple[str, ...], waiting: Waiting) -> int:
    """Stop an invocation: what waits is cancelled, what runs is ended with all of its processes.

    Results that are there already stay as they are.
    """
    try:
        went_on = load_invocation(call.assistant.redis, invoke_id).active
    except RecordUnreadable:
        return stop_unreadable(call, invoke_id, instance_ids)
    changed = call.assistant.stop_invocation(invoke_id, instance_ids)
    if waiting.wait and changed:
        wait_for_end(call, invoke_id, len(changed), waiting.timeout_seconds, only=changed)
    one = one_invocation(call, invoke_id)
    rows = [row for row in rows_of(one, instance_ids) if waiting.wait or row.instance_id in changed]
    if call.wants_json:
        shown = rows if waiting.wait else None
        shape = invocation_object(invoke_id, one.stored.record.command.command_id, one.status.state, shown)
        call.print_json({**shape, "Stopped": stopped_shape(changed)})
        return DONE
    if changed:
        states = {row.instance_id: row.state for row in rows}
        lines = [(name, states.get(name, state)) for name, state in changed.items()]
        print_table(call, ("INSTANCE", "STATE"), lines)
    if went_on:
        where = f" on {', '.join(instance_ids)}" if instance_ids and one.stored.active else ""
        call.say(f"{invoke_id} runs no more{where}")
    elif not changed:
        call.say(f"nothing left to stop; {invoke_id} is {one.status.state}")
    return DONE
