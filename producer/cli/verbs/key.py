"""``assist key …``: the master key of the installation."""

from time import sleep

import click

from ....broker_config.clock import monotonic_seconds
from ....broker_config.programs.counted import counted
from ....broker_config.programs.printable import clean
from ....broker_config.redis.client import Redis
from ....broker_config.security.master_key import master_key_path
from ...security.key_rotation import RotationStatus
from ...security.trust import Trust
from ..assist_command import AssistGroup, assist_command
from ..call import CONNECT_TIMEOUT_SECONDS, Call
from ..exit_codes import DONE, TIMED_OUT
from ..options.argument_types import Duration
from ..printing.tables import print_table
from ..printing.text_cells import duration

group = AssistGroup("key", help="Make and rotate the master key that executions are signed with.")

_LOOK_SECONDS = 0.5


@assist_command("create", examples=("assist key create",))
def create(call: Call) -> None:
    """Create the master key if there is none, in the home or where security.master_key_file says.

    Back up its file: without it, every instance must be registered again.
    """
    settings = call.loaded.settings
    # Not an ``Assistant``, which refuses to begin where the settings name a file that is not there.
    redis = Redis(settings.redis_url, name="assist")
    redis.connect_timeout_seconds = CONNECT_TIMEOUT_SECONDS
    try:
        master = Trust(redis, settings).create_master()
    finally:
        redis.close()
    if call.wants_json:
        call.print_json({"KeyId": master.current, "File": _file(call), "Fingerprint": master.fingerprint()})
    else:
        call.print(f"{master.current}  {master.fingerprint()}  {_file(call)}")


@assist_command("show", examples=("assist key show",))
def show(call: Call) -> None:
    """Show the master keys, and which instance holds which key."""
    _print(call, call.assistant.trust.settle_rotation())


@assist_command("rotate", examples=("assist key rotate", "assist key rotate --wait 300"))
@click.option(
    "--wait",
    "wait_seconds",
    type=Duration(),
    default=60.0,
    show_default=True,
    help="How long to wait for connected agents.",
)
def rotate(call: Call, *, wait_seconds: float) -> int:
    """Make a new master key and give each instance its new key, while everything keeps working.

    Right afterwards, copy the master key file to the other machines of the control side. Instances that are offline
    follow when they return; `assist key show` tells.
    """
    trust = call.assistant.trust
    status = trust.rotate_master_key()
    call.say(f"made the master key {status.current}; copy {_file(call)} to the other machines of the control side now")
    late_count = _late_count(status)
    if late_count and wait_seconds:
        agents = counted(late_count, "connected agent")
        most = duration(round(wait_seconds * 1000))
        call.say(f"waiting up to {most} for {agents} to take up new keys; Ctrl-C undoes nothing")
    deadline = monotonic_seconds() + wait_seconds
    while _late_count(status) and monotonic_seconds() < deadline:
        sleep(_LOOK_SECONDS)
        status = trust.settle_rotation()
    _print(call, status)
    late_count = _late_count(status)
    if late_count:
        agents = counted(late_count, "connected agent")
        call.say(f"{agents} without the new key yet; see `assist key show`")
    return TIMED_OUT if late_count else DONE


def _late_count(status: RotationStatus) -> int:
    return sum(one.connected for one in status.waiting)


def _file(call: Call) -> str:
    return clean(str(master_key_path(call.assistant.settings)))


def _print(call: Call, status: RotationStatus) -> None:
    if call.wants_json:
        instances = [
            {
                "InstanceId": one.instance_id,
                "KeyId": one.key_id,
                "NextKeyId": one.next_key_id,
                "Connected": one.connected,
            }
            for one in status.instances
        ]
        call.print_json({"Current": status.current, "Keys": list(status.names), "Instances": instances})
        return
    call.say(f"current master key: {status.current}; kept: {', '.join(status.names)}")
    rows = [
        (one.instance_id, one.key_id, one.next_key_id or "-", "yes" if one.connected else "no")
        for one in status.instances
    ]
    print_table(call, ("INSTANCE", "KEY", "NEXT KEY", "CONNECTED"), rows)


for _command in (create, show, rotate):
    group.add_command(_command)
