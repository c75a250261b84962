"""What `assist agent-version publish` and `assist package publish` have in common: where the archive goes."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click

from ....broker_config.programs.printable import clean
from ....broker_config.redis.server_names import LOOPBACK
from ....broker_config.releases.publisher_signing import AGENT_NAME, SUFFIX, Signed, parse
from ...file_store.catalogue import Catalogue, CatalogueEntry
from ...file_store.publishing import Publishing
from ...file_store.uploading import upload
from ...gateway_client import GatewayClient
from ..call import Call
from ..printing.tables import print_table


def publish_archive(call: Call, archive: Path, *, agent: bool) -> Signed:
    """Publish an archive with the signature beside it, through the gateway or on this machine.

    Raises:
        CloudAssistantError: the archive is not what was signed, or the gateway refuses it.
    """
    signature = archive.with_name(archive.name + SUFFIX)
    try:
        text = signature.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise click.UsageError(
            f"{archive.name} has no signature beside it; make one: assist publisher sign {archive}"
        ) from exc
    signed = parse(text)
    if (signed.statement.name == AGENT_NAME) != agent:
        verb = "package" if agent else "agent-version"
        raise click.UsageError(f"{signed.statement}: use assist {verb} publish")
    gateway = call.loaded.settings.gateway
    if gateway.url and gateway.access_key_id and gateway.access_key_secret:
        client = GatewayClient(gateway.url, gateway.access_key_id, gateway.access_key_secret, gateway.ca_file)
        upload(client, archive, signed)
    else:
        publishing = Publishing(call.assistant.redis, call.assistant.settings)
        statement = signed.statement
        what = f"{statement.name}/{statement.version}/{statement.os}/{statement.arch}"
        with call.assistant.auditing.change("PublishPackage", what=what, digest=statement.sha256):
            publishing.publish_file(archive, text)
        call.say(f"stored in {publishing.store.folder}; the gateway must run here, as this user and with the same home")
    return signed


def withdraw_version(call: Call, name: str, version: str) -> None:
    """Take a version back: nobody can fetch it any more; instances that have it keep it."""
    publishing = Publishing(call.assistant.redis, call.assistant.settings)
    with call.assistant.auditing.change("WithdrawPackage", what=f"{name}/{version}"):
        removed = publishing.withdraw(name, version)
    entries = [dict(zip(("Name", "Version", "Os", "Arch"), one.split("/"), strict=False)) for one in removed]
    call.tell(entries, f"withdrawn: {clean(', '.join(removed))}")


def note_on_address(call: Call) -> None:
    """Say so when agents are sent to an address that only this machine has."""
    url = call.assistant.agent_versions.download_url()
    if urlsplit(url).hostname in LOOPBACK:
        call.say(f"note: agents fetch it from {url}, which is this machine only; set gateway.agent_url for others")


def tell_unreadable(call: Call, catalogue: Catalogue, *, agent: bool) -> None:
    """Say what cannot be read: of the agent's versions, or of packages."""
    for field, why in catalogue.unreadable().items():
        if (field.partition("/")[0] == AGENT_NAME) == agent:
            call.say(str(why))


def print_entries(call: Call, entries: Sequence[CatalogueEntry]) -> None:
    """Print what is published: packages, or versions of the agent."""
    if call.wants_json:
        call.print_json(
            [
                {
                    "Name": one.name,
                    "Version": one.version,
                    "Os": one.signed.statement.os,
                    "Arch": one.signed.statement.arch,
                    "Size": one.signed.statement.size,
                    "Sha256": one.signed.statement.sha256,
                    "PublisherKeyId": one.signed.key_id,
                }
                for one in entries
            ]
        )
        return
    rows = [
        (one.name, one.version, f"{statement.os}/{statement.arch}", f"{statement.size:,}", one.signed.key_id)
        for one in entries
        for statement in (one.signed.statement,)
    ]
    print_table(call, ("NAME", "VERSION", "SYSTEM", "BYTES", "PUBLISHER"), rows)
