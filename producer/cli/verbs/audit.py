"""``assist audit``: who changed what, who was refused what, and whether anybody changed that record."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import msgspec

from ....broker_config.audit.anchor import Anchor, anchor_path, read_anchor, write_anchor
from ....broker_config.audit.entry import AuditEntry, Outcome
from ....broker_config.clock import iso_seconds, now_ms
from ....broker_config.errors import Refused, RequestInvalid
from ....broker_config.files.named_file import open_to_the_end
from ....broker_config.programs.counted import counted
from ....broker_config.programs.printable import clean
from ....broker_config.security.master_key import find_master_keys
from ....broker_config.timed.timed_invocation import server_ms
from ...security.audit_reading import StoredEntry, newest_first, oldest_first, selected
from ...security.audit_verification import Known, export_line, read_export, verify_audit
from ..assist_command import AssistGroup, assist_command
from ..call import Call
from ..options.argument_types import Duration, filled
from ..printing.tables import print_table

group = AssistGroup("audit", help="Show and verify the record of changes and refusals.")


@assist_command(
    "list",
    examples=(
        "assist audit list --since 2h",
        "assist audit list --who deploy --action RunCommand --limit 20",
        "assist audit list --outcome refused --output json",
    ),
)
@click.option("--since", type=Duration(), help="Only what happened in the last 30m, 2h, 7d ….")
@click.option("--who", callback=filled, help="Only what this user, access key or instance did.")
@click.option("--action", callback=filled, help="Only this action, such as RunCommand.")
@click.option("--outcome", type=click.Choice([str(one) for one in Outcome]), help="Only what ended this way.")
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="How many entries to show at most.",
)
def list_entries(call: Call, *, since: float | None, who: str, action: str, outcome: str | None, limit: int) -> None:
    """List entries, latest first.

    A change of several steps has two: one when it begins, one for how it ended. Both carry the same Change. As text,
    the first is left out where the second is there.
    """

    def keep(entry: AuditEntry) -> bool:
        if entry.change and entry.outcome != Outcome.BEGUN:
            ended.add(entry.change)
        return (
            (not who or who in (entry.who.name, entry.who.source))
            and (not action or entry.action == action)
            and (outcome is None or entry.outcome == outcome)
            # A person is shown one line for a change: its end, where it has one.
            and (call.wants_json or entry.outcome != Outcome.BEGUN or entry.change not in ended)
        )

    ended: set[str] = set()
    redis = call.assistant.redis
    # The clock by which entries have their places.
    since_ms = max(0, server_ms(redis) - int(since * 1000)) if since is not None else 0
    found = selected(newest_first(redis, since_ms=since_ms), keep, limit)
    if call.wants_json:
        call.print_json([_shape(stored, entry) for stored, entry in found])
        return
    rows = [
        (
            str(stored.number),
            iso_seconds(entry.at_ms),
            entry.who.name or entry.who.kind,
            entry.who.source,
            entry.action,
            f"{entry.outcome} {entry.code}".rstrip(),
            entry.what,
        )
        for stored, entry in found
    ]
    print_table(call, ("NUMBER", "TIME", "WHO", "FROM", "ACTION", "OUTCOME", "WHAT"), rows)


@assist_command(
    "verify",
    examples=("assist audit verify", "assist audit verify --against audit-2026-11-22.jsonl"),
)
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="An earlier export: everything in it must still be there, to its last entry.",
)
@click.option(
    "--unsealed-through",
    type=click.IntRange(min=0),
    default=0,
    metavar="NUMBER",
    help="Entries up to this one may lack a seal: they are from before there was a master key.",
)
def verify(call: Call, *, against: tuple[Path, ...], unsealed_through: int) -> None:
    """Check that no entry was edited, removed, inserted or moved; exit 4 and name those that were.

    Whether the end is missing is told by the notes that beat and this command keep in the home folder, and by exports.
    """
    settings = call.loaded.settings
    master = find_master_keys(settings)
    path = anchor_path(settings)
    anchor = _anchor(path)
    known: list[Known] = [Known(anchor.number, anchor.mac, f"the note in {path}")] if anchor is not None else []
    for one in against:
        known += _exported(one)
    found = verify_audit(call.assistant.redis, master, known, unsealed_through=unsealed_through)
    if call.wants_json:
        call.print_json(
            {
                "Verified": not found.problem,
                "Problem": found.problem,
                "BadEntry": found.bad_number,
                "Problems": [{"Entry": one.number, "Problem": one.text} for one in found.problems],
                "ProblemCount": found.problem_count,
                "Sealed": master is not None,
                "EntryCount": found.count,
                "FirstEntry": found.first_number,
                "LastEntry": found.last_number,
                "LastMac": found.last_mac,
                "ComparedCount": found.known_count,
            }
        )
    if found.problem:
        raise Refused(f"the audit is not as it was written: {found.problem}", code="AuditNotVerified")
    if path is not None and found.last_number and (anchor is None or anchor.number < found.last_number):
        try:
            write_anchor(path, Anchor(found.last_number, found.last_mac, found.last_stream_id, now_ms()))
        except OSError as exc:
            # What was asked is answered; only the next look will know less.
            call.say(f"note: how far it came cannot be noted in {path}: {exc.strerror}; see --home")
    if master is None:
        call.say("there is no master key here: only accidents would show, anybody can write a chain that fits")
    if not call.wants_json:
        range_shown = f"entries {found.first_number} to {found.last_number}" if found.count else "no entries"
        call.print(f"{range_shown} are as they were written; the last one's MAC is {found.last_mac or '-'}")


@assist_command("export", examples=("assist audit export audit.jsonl", "assist audit export - | gzip > audit.gz"))
@click.argument("target", metavar="FILE|-")
@click.option("--overwrite", is_flag=True, help="Replace a file that is already there.")
def export(call: Call, *, target: str, overwrite: bool) -> None:
    """Write all entries, oldest first, one JSON object per line. Kept elsewhere, the file is something that verify can
    compare with.
    """
    entries = oldest_first(call.assistant.redis)
    if target == "-":
        _write(entries, sys.stdout.buffer.write)
        return
    count = _write_file(entries, Path(target), overwrite=overwrite)
    call.tell(
        {"File": clean(target), "EntryCount": count},
        f"{counted(count, 'entry is', 'entries are')} in {clean(target)}",
    )


def _write_file(entries: Iterable[StoredEntry], target: Path, *, overwrite: bool) -> int:
    """Write an export; where one was, it stays as it was until the new one is whole.

    Raises:
        OSError: it cannot be written. Refused: there is a file that is not to be replaced (``FileExists``).
    """
    if not overwrite and target.is_file() and target.stat().st_size:
        raise Refused(
            f"there is a file {clean(str(target))} already, and an earlier export shows what was changed in the audit "
            "since; name another file, or replace it: --overwrite",
            code="FileExists",
        )
    if (target.exists() and not target.is_file()) or not os.access(target.parent, os.W_OK):
        with target.open("wb") as file:
            return _write(entries, file.write)
    # What a link leads to is replaced, not the link.
    target = target.resolve()
    fresh = target.with_name(target.name + ".new")
    fresh.unlink(missing_ok=True)
    try:
        with fresh.open("xb") as file:
            count = _write(entries, file.write)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return count


def _write(entries: Iterable[StoredEntry], write: Callable[[bytes], int]) -> int:
    count = 0
    for stored in entries:
        write(export_line(stored) + b"\n")
        count += 1
    return count


def _anchor(path: Path | None) -> Anchor | None:
    try:
        return read_anchor(path) if path is not None else None
    except msgspec.MsgspecError as exc:
        raise Refused(
            f"the note in {path} cannot be read: {exc}; find out who changed it, and remove it to go on without",
            code="AuditNoteUnreadable",
        ) from exc


def _exported(path: Path) -> list[Known]:
    try:
        with open_to_the_end(path) as file:
            return list(read_export(file.read().splitlines(), f"the export {path.name}"))
    except msgspec.MsgspecError as exc:
        raise RequestInvalid(f"{path} is not an export of the audit: {exc}", code="InvalidExport") from exc


def _shape(stored: StoredEntry, entry: AuditEntry) -> dict[str, object]:
    return {
        "Number": stored.number,
        "Time": iso_seconds(entry.at_ms),
        "Kind": entry.who.kind,
        "Who": entry.who.name,
        "Role": entry.who.role,
        "From": entry.who.source,
        "Action": entry.action,
        "Outcome": entry.outcome.value,
        "Code": entry.code,
        "What": entry.what,
        "Digest": entry.digest,
        "Facts": dict(entry.facts),
        "RequestId": entry.request_id,
        "Change": entry.change,
        "Mac": stored.mac,
    }


for _command in (list_entries, verify, export):
    group.add_command(_command)
