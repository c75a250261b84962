"""``assist agent-version``: publish versions of the agent and roll them out."""

import re
from pathlib import Path

import click
from click.core import ParameterSource

from ....broker_config.clock import iso_seconds
from ....broker_config.releases.publisher_signing import AGENT_NAME
from ....broker_config.releases.rollouts import FAILURES, SUCCEEDED, Progress, Wish
from ...agent_versions import RolloutOptions
from ...file_store.catalogue import Catalogue, CatalogueEntry
from ...fleet.targets import Targets
from ..assist_command import AssistGroup, assist_command
from ..call import Call
from ..options.argument_types import Duration, filled
from ..options.target_options import takes_targets
from ..printing.tables import print_table
from .publishing import note_on_address, print_entries, publish_archive, tell_unreadable, withdraw_version

#: Parameters of ``rollout`` that say what one is like.
_OF_A_NEW_ONE = (
    *("share", "window", "at_once", "stop_at", "probation", "again"),
    *("instance_ids", "tags", "everything", "failed_in", "connected"),
)

group = AssistGroup("agent-version", help="Publish versions of the agent and roll them out.")


def _percent(_ctx: click.Context, _parameter: click.Parameter, text: str) -> float:
    """A share. A plain number is none: beside the --stop-at of other verbs it would read as a number of instances."""
    if not re.fullmatch(r"\d+(\.\d+)?%", text):
        raise click.BadParameter(f"{text!r} is not a share of the instances such as 10%")
    return float(text[:-1])


@assist_command("publish", examples=(f"assist agent-version publish dist/{AGENT_NAME}-1.2.0-linux-x86_64.tar.gz",))
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
def publish(call: Call, *, archive: Path) -> None:
    """Put a signed archive of the agent into the gateway's file store; FILE.sig must lie beside it.

    It is uploaded to the gateway if gateway.url and an admin's access key are set, and else put into the folder of this
    machine.
    """
    signed = publish_archive(call, archive, agent=True)
    print_entries(call, [CatalogueEntry(signed)])


@assist_command("list", examples=("assist agent-version list",))
def list_versions(call: Call) -> None:
    """List the published versions."""
    catalogue = Catalogue(call.assistant.redis)
    tell_unreadable(call, catalogue, agent=True)
    print_entries(call, catalogue.list(AGENT_NAME))


@assist_command("withdraw", examples=("assist agent-version withdraw 1.2.0",))
@click.argument("version", metavar="VERSION")
def withdraw(call: Call, *, version: str) -> None:
    """Withdraw a version, so that nobody can fetch it any more. Its file is deleted on this machine, the gateway's."""
    withdraw_version(call, AGENT_NAME, version)


@assist_command(
    "rollout",
    examples=(
        "assist agent-version rollout 1.2.0 --share 10%",
        "assist agent-version rollout 1.2.0 --share 100% --window '02:00-04:30'",
        "assist agent-version rollout 1.2.0 --tag env=test --window 'sat,sun 22:00-06:00 UTC'",
        "assist agent-version rollout 1.2.0 --pause",
    ),
)
@click.argument("version", metavar="VERSION")
@click.option(
    "--share",
    default="100%",
    show_default=True,
    metavar="N%",
    callback=_percent,
    help="Only this share of the instances; widen it later.",
)
@click.option(
    "--window", callback=filled, metavar="HOURS", help="Only in these hours, in each instance's own local time."
)
@click.option(
    "--at-once",
    type=click.IntRange(1),
    metavar="COUNT",
    help="How many to upgrade at the same time.  [default: a tenth]",
)
@click.option(
    "--stop-at",
    default="10%",
    show_default=True,
    metavar="N%",
    callback=_percent,
    help="Stop the roll-out when this share has failed.",
)
@click.option(
    "--probation",
    type=Duration(),
    default=180.0,
    show_default=True,
    help="How long a version has to show that it works.",
)
@click.option("--again", is_flag=True, help="Also upgrade where this version failed before.")
@click.option("--pause", "wish", flag_value=Wish.PAUSE, help="Pause it: give no more orders; what has begun goes on.")
@click.option("--resume", "wish", flag_value=Wish.RUN, help="Resume it, with the failures so far forgiven.")
@click.option("--cancel", "wish", flag_value=Wish.CANCEL, help="Cancel it; instances that have the version keep it.")
@takes_targets
def rollout(
    call: Call,
    *,
    version: str,
    share: float,
    window: str,
    at_once: int | None,
    stop_at: float,
    probation: float,
    again: bool,
    wish: Wish | None,
    targets: Targets,
) -> None:
    """Upgrade instances, all or those named, to a published version, each in its own time.

    An agent that does not work goes back to its old version by itself and says so. A beat carries out the roll-out; see
    `assist agent-version status`.
    """
    if wish is not None:
        _refuse_options_of_a_new_one(click.get_current_context())
    versions = call.assistant.agent_versions
    if wish == Wish.CANCEL and versions.remove_unusable(version):
        call.tell(
            {"RolloutId": version, "State": "Removed"}, f"{version} is removed, and what it had ordered is taken back"
        )
        return
    if wish is not None:
        progress = versions.change(version, Wish(wish))
    else:
        options = RolloutOptions(
            share_percent=share,
            window=window,
            at_once_count=at_once or 0,
            failures_percent=stop_at,
            probation_seconds=probation,
            again=again,
        )
        progress = versions.begin(version, targets, options)
        note_on_address(call)
    _print_progress(call, progress)


@assist_command("status", examples=("assist agent-version status --output json",))
@click.argument("version", required=False, default="", metavar="[VERSION]")
def status(call: Call, *, version: str) -> None:
    """Show how far the latest roll-out has come, or that of a version."""
    versions = call.assistant.agent_versions
    progress = versions.find(version)
    for one in versions.unusable():
        call.say(str(one.why))
    _print_progress(call, progress)


def _refuse_options_of_a_new_one(ctx: click.Context) -> None:
    """Nobody is to believe that a roll-out was widened as it was resumed."""
    if any(ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE for name in _OF_A_NEW_ONE):
        raise click.UsageError(
            "--pause, --resume and --cancel change nothing else; without them a roll-out begins anew, as it is given"
        )


def _print_progress(call: Call, progress: Progress) -> None:
    rollout = progress.rollout
    failed_count, done_count = progress.count(*FAILURES), progress.count(SUCCEEDED)
    if call.wants_json:
        members = [
            {
                "InstanceId": name,
                "Stage": member.stage,
                "Reason": member.reason,
                "Time": iso_seconds(member.changed_ms),
            }
            for name, member in sorted(progress.members.items())
        ]
        call.print_json(
            {
                "Version": rollout.version,
                "State": progress.state,
                "Reason": progress.halted,
                "SharePercent": rollout.share_percent,
                "Window": rollout.window,
                "Succeeded": done_count,
                "Failed": failed_count,
                "Instances": members,
            }
        )
        return
    call.say(
        f"version {rollout.version}: {progress.state.lower()}{': ' if progress.halted else ''}{progress.halted};"
        f" share {rollout.share_percent:g} %, {done_count} done, {failed_count} failed"
    )
    rows = [
        (name, member.stage, iso_seconds(member.changed_ms), member.reason)
        for name, member in sorted(progress.members.items())
    ]
    if rows:
        print_table(call, ("INSTANCE", "STAGE", "SINCE", "REASON"), rows)


for _command in (publish, list_versions, withdraw, rollout, status):
    group.add_command(_command)
