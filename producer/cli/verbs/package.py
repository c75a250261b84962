"""``assist package``: publish packages, and install, update, remove and check them on instances."""

import functools
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import click

from ....broker_config.clock import iso_seconds
from ....broker_config.releases.package_order import PackageAction
from ....broker_config.releases.publisher_signing import AGENT_NAME
from ...file_store.catalogue import LATEST, Catalogue, CatalogueEntry
from ...fleet.targets import Targets, resolve
from ...invocations.invoked import Invoked
from ...packages import TIMEOUT_SECONDS, InstancePackages, PackageRequest, Packages
from ..assist_command import AssistGroup, assist_command
from ..call import Call
from ..dispatched import after_dispatch
from ..options.argument_types import Duration, filled
from ..options.pacing_options import amount_options
from ..options.request_options import Waiting, takes_waiting, whole_seconds
from ..options.target_options import takes_targets
from ..printing.tables import print_table
from .publishing import note_on_address, print_entries, publish_archive, tell_unreadable, withdraw_version

Answer = TypeVar("Answer")

group = AssistGroup("package", help="Publish packages; install, update, remove and check them on instances.")


_deliver_within_option = click.option(
    "--deliver-within",
    type=Duration(),
    help="How long to wait for the agent to take it: an instance that is offline has this long to come back."
    "  [default: 60]",
)


def _takes_limits(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add --timeout, --deliver-within, --at-once and --stop-at; the command gets them as ``limits``, by field."""

    @click.option(
        "--timeout",
        type=Duration(),
        default=float(TIMEOUT_SECONDS),
        show_default=True,
        help="How long all of it may take.",
    )
    @_deliver_within_option
    @amount_options
    @functools.wraps(function)
    def collect(
        *arguments: Any, timeout: float, deliver_within: float | None, at_once: str, stop_at: str, **rest: Any
    ) -> Answer:
        limits = {
            "timeout_seconds": whole_seconds(timeout, "--timeout"),
            "deliver_within_seconds": whole_seconds(deliver_within, "--deliver-within"),
            "at_once": at_once,
            "stop_at": stop_at,
        }
        return function(*arguments, limits=limits, **rest)

    return collect


@assist_command("publish", examples=("assist package publish tools-1.2.0-any-any.tar.gz",))
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
def publish(call: Call, *, archive: Path) -> None:
    """Put a signed package into the gateway's file store; FILE.sig must lie beside it."""
    print_entries(call, [CatalogueEntry(publish_archive(call, archive, agent=False))])


@assist_command("list", examples=("assist package list",))
@click.argument("name", required=False, default="", metavar="[NAME]")
def list_packages(call: Call, *, name: str) -> None:
    """List the published packages."""
    catalogue = Catalogue(call.assistant.redis)
    tell_unreadable(call, catalogue, agent=False)
    print_entries(call, [one for one in catalogue.list(name) if one.name != AGENT_NAME])


@assist_command("withdraw", examples=("assist package withdraw tools 1.2.0",))
@click.argument("name", metavar="NAME")
@click.argument("version", metavar="VERSION")
def withdraw(call: Call, *, name: str, version: str) -> None:
    """Withdraw a version, so that nobody can fetch it any more. Its file is deleted on this machine, the gateway's."""
    withdraw_version(call, name, version)


@assist_command(
    "install",
    examples=(
        "assist package install tools --instance i-web1",
        "assist package install tools --version 1.2.0 --tag env=test",
        "assist package install tools --all --at-once 10% --stop-at 3",
    ),
)
@click.argument("name", metavar="NAME")
@click.option("--version", default=LATEST, show_default=True, callback=filled, help="Which version.")
@click.option("--force", is_flag=True, help="Run its install script even if this version is installed.")
@_takes_limits
@takes_targets
@takes_waiting(default=True)
def install(
    call: Call,
    *,
    name: str,
    version: str,
    force: bool,
    limits: Mapping[str, Any],
    targets: Targets,
    waiting: Waiting,
) -> int:
    """Install a package. If its health script fails, what was there before is put back."""
    request = PackageRequest(action=PackageAction.INSTALL, name=name, version=version, force=force, **limits)
    return _carry_out(call, request, targets, waiting)


@assist_command("update", examples=("assist package update tools --all",))
@click.argument("name", metavar="NAME")
@click.option("--version", default=LATEST, show_default=True, callback=filled, help="Which version.")
@_takes_limits
@takes_targets
@takes_waiting(default=True)
def update(
    call: Call, *, name: str, version: str, limits: Mapping[str, Any], targets: Targets, waiting: Waiting
) -> int:
    """Install a version where another one is installed; nothing happens elsewhere."""
    request = PackageRequest(action=PackageAction.UPDATE, name=name, version=version, **limits)
    return _carry_out(call, request, targets, waiting)


@assist_command("uninstall", examples=("assist package uninstall tools --instance i-web1",))
@click.argument("name", metavar="NAME")
@_takes_limits
@takes_targets
@takes_waiting(default=True)
def uninstall(call: Call, *, name: str, limits: Mapping[str, Any], targets: Targets, waiting: Waiting) -> int:
    """Remove a package, unless another one needs it."""
    return _carry_out(call, PackageRequest(action=PackageAction.UNINSTALL, name=name, **limits), targets, waiting)


@assist_command("check", examples=("assist package check tools --all",))
@click.argument("name", metavar="NAME")
@_deliver_within_option
@takes_targets
@takes_waiting(default=True)
def check(call: Call, *, name: str, deliver_within: float | None, targets: Targets, waiting: Waiting) -> int:
    """Run the health script of a package now."""
    within = whole_seconds(deliver_within, "--deliver-within")
    request = PackageRequest(action=PackageAction.CHECK, name=name, deliver_within_seconds=within)
    return _carry_out(call, request, targets, waiting)


@assist_command("status", examples=("assist package status", "assist package status tools --instance i-web1"))
@click.argument("name", required=False, default="", metavar="[NAME]")
@takes_targets
def status(call: Call, *, name: str, targets: Targets) -> None:
    """Show the packages that instances report; all instances unless some are named.

    They report with their heartbeats, so a change may show only half a minute later.
    """
    wanted = targets if targets.instance_ids or targets.tags else Targets(everything=True)
    chosen = resolve(call.assistant.redis, wanted, call.assistant.settings.limits)
    _print_status(call, Packages(call.assistant).status(chosen, name))


def _carry_out(call: Call, request: PackageRequest, targets: Targets, waiting: Waiting) -> int:
    """Dispatch, and wait for each kind of machine in turn; the worst exit code counts."""
    if request.action in (PackageAction.INSTALL, PackageAction.UPDATE):
        note_on_address(call)
    invoked: list[Invoked] = Packages(call.assistant).run(request, targets)
    call.note_dispatched(*(one.invoke_id for one in invoked))
    # One invocation answers with an object, as everywhere; several are one document all the same.
    with call.gathering_json() if len(invoked) > 1 else nullcontext():
        return max(after_dispatch(call, one, waiting, request.options) for one in invoked)


def _print_status(call: Call, found: list[InstancePackages]) -> None:
    if call.wants_json:
        call.print_json(
            [
                {
                    "InstanceId": one.instance_id,
                    "Connected": one.connected,
                    "Packages": [
                        {
                            "Name": package.name,
                            "Version": package.version,
                            "Status": package.status,
                            "Reason": package.reason,
                            "ChangedTime": iso_seconds(package.changed_ms),
                            "LastHealthyTime": iso_seconds(package.last_healthy_ms),
                        }
                        for package in one.packages
                    ],
                }
                for one in found
            ]
        )
        return
    rows = [
        (one.instance_id, package.name, package.version, str(package.status), package.reason)
        for one in found
        for package in one.packages
    ]
    print_table(call, ("INSTANCE", "PACKAGE", "VERSION", "STATUS", "REASON"), rows)


for _command in (publish, list_packages, withdraw, install, update, uninstall, check, status):
    group.add_command(_command)
