"""A publisher makes a key and signs archives by their names."""

import json
from pathlib import Path

from e2e.cli.conftest import Fleet

from cloud_assistant.broker_config.releases.publisher_keys import read_private_key
from cloud_assistant.broker_config.releases.publisher_signing import key_id_of, verify


def test_a_key_is_made_once_and_signs_archives(fleet: Fleet) -> None:
    made = fleet.assist("publisher", "key", "create").must_succeed()
    assert made.stdout.startswith("-----BEGIN PUBLIC KEY-----")
    assert fleet.assist("publisher", "key", "show").must_succeed().stdout == made.stdout
    assert fleet.assist("publisher", "key", "create").exit_code == 4

    archive = fleet.folder / "cloud-assistant-agent-1.2.0-linux-x86_64.tar.gz"
    archive.write_bytes(b"archive")
    signature = Path(fleet.assist("publisher", "sign", str(archive)).must_succeed().stdout.strip())
    public = read_private_key(
        Path(json.loads(fleet.assist("publisher", "key", "show", "--output", "json").stdout)["File"])
    ).public_key()
    statement = verify(signature.read_text(), {key_id_of(public): public})
    assert (statement.name, statement.version, statement.os, statement.arch, statement.size) == (
        "cloud-assistant-agent",
        "1.2.0",
        "linux",
        "x86_64",
        7,
    )


def test_an_archive_whose_name_says_nothing_needs_words(fleet: Fleet) -> None:
    (fleet.folder / "x.tgz").write_bytes(b"")
    refused = fleet.assist("publisher", "sign", str(fleet.folder / "x.tgz"))
    assert refused.exit_code == 2
    assert "--name --version --os --arch" in refused.stderr
