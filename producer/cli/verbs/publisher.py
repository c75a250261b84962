"""``assist publisher``: the key that versions and packages are signed with. It belongs on no server."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from ....broker_config.programs.printable import clean
from ....broker_config.releases.publisher_keys import (
    create_private_key,
    private_key_path,
    public_text,
    read_private_key,
)
from ....broker_config.releases.publisher_signing import (
    AGENT_NAME,
    SUFFIX,
    SYSTEMS,
    key_id_of,
    sign,
    statement_of,
)
from ..assist_command import AssistGroup, assist_command
from ..call import Call

Answer = TypeVar("Answer")

_ARCHIVE_NAME = re.compile(
    rf"(?P<name>[a-z0-9][a-z0-9._-]*?)-(?P<version>[0-9][0-9A-Za-z.+_]*(?:-[0-9A-Za-z.+_]+)*?)"
    rf"-(?P<os>{'|'.join(SYSTEMS)}|any)-(?P<arch>[a-z0-9_]+)\.(?:tar\.gz|tgz)"
)

_DEFAULT_PLACE = "[default: security.publisher_key_file, else publisher-key.pem in the home]"


def _takes_file(text: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Add the place of the key."""
    place = click.Path(dir_okay=False, path_type=Path)
    return click.option("--file", "file", type=place, metavar="FILE", help=f"{text}  {_DEFAULT_PLACE}")


group = AssistGroup("publisher", help="Manage a publisher's key; sign versions and packages with it.")
key_group = AssistGroup("key", help="Create and show the publisher's key.")


@assist_command("create", examples=("assist publisher key create",))
@_takes_file("Where to put it.")
def create(call: Call, *, file: Path | None) -> None:
    """Create a publisher's key and print its public half, which goes to every instance.

    Keep the private file where releases are made, not on the gateway: whoever has it can install software on all
    instances that trust it.
    """
    path = file or private_key_path(call.loaded.settings)
    _show(call, path, public_text(create_private_key(path).public_key()))


@assist_command("show", examples=("assist publisher key show",))
@_takes_file("Where it is.")
def show(call: Call, *, file: Path | None) -> None:
    """Print the public half of the publisher's key."""
    path = file or private_key_path(call.loaded.settings)
    _show(call, path, public_text(read_private_key(path).public_key()))


@assist_command(
    "sign",
    examples=(
        f"assist publisher sign dist/{AGENT_NAME}-1.2.0-linux-x86_64.tar.gz",
        "assist publisher sign tools.tar.gz --name tools --version 3 --os any --arch any",
    ),
)
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option("--name", default="", help="Name of what it holds.  [default: from the file's name]")
@click.option("--version", default="", help="Its version.  [default: from the file's name]")
@click.option("--os", default="", help=f"{', '.join(SYSTEMS)} or any.  [default: from the file's name]")
@click.option("--arch", default="", help="x86_64, aarch64 … or any.  [default: from the file's name]")
@click.option(
    "--key", "key_file", type=click.Path(path_type=Path), metavar="FILE", help=f"The private key.  {_DEFAULT_PLACE}"
)
def sign_archive(
    call: Call, *, archive: Path, name: str, version: str, os: str, arch: str, key_file: Path | None
) -> None:
    """Sign an archive: writes FILE.sig beside it."""
    found = _ARCHIVE_NAME.fullmatch(archive.name)
    words = {**(found.groupdict() if found else {})}
    words.update(
        {key: value for key, value in (("name", name), ("version", version), ("os", os), ("arch", arch)) if value}
    )
    missing = [f"--{key}" for key in ("name", "version", "os", "arch") if key not in words]
    if missing:
        raise click.UsageError(f"{archive.name} does not say it all: add {' '.join(missing)}")
    private_key = read_private_key(key_file or private_key_path(call.loaded.settings))
    statement = statement_of(archive, **words)
    target = archive.with_name(archive.name + SUFFIX)
    target.write_text(sign(private_key, statement), encoding="ascii")
    key_id = key_id_of(private_key.public_key())
    if call.wants_json:
        call.print_json({"File": clean(str(target)), "PublisherKeyId": key_id, "Sha256": statement.sha256})
    else:
        call.print(clean(str(target)))
        call.say(f"signed {statement} as publisher {key_id}")


def _show(call: Call, path: Path, public: str) -> None:
    key_id = key_id_of(read_private_key(path).public_key())
    if call.wants_json:
        call.print_json({"PublisherKeyId": key_id, "PublicKey": public, "File": clean(str(path))})
        return
    call.print(public.rstrip("\n"))
    call.say(f"publisher {key_id}; its private key is in {clean(str(path))}")
    call.say("on each instance, put the text above into /etc/cloud-assistant/publishers/NAME.pub")


for _command in (create, show):
    key_group.add_command(_command)
group.add_command(key_group)
group.add_command(sign_archive)
