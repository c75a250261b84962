"""A publisher's signature says who made an archive, whoever hands it over."""

import io
import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cloud_assistant.broker_config.errors import Refused, RequestInvalid, SettingsInvalid
from cloud_assistant.broker_config.releases.publisher_keys import (
    create_private_key,
    public_text,
    read_private_key,
    read_publishers,
)
from cloud_assistant.broker_config.releases.publisher_signing import (
    LIMIT_BYTES,
    Statement,
    check_file,
    digest_of,
    key_id_of,
    parse,
    sign,
    system_of,
    verify,
)
from harness.disk import fill, small_disk
from harness.needs import skip_without

CONTENT = b"archive"
STATEMENT = Statement(
    name="tools",
    version="1.2.0",
    os="linux",
    arch="x86_64",
    sha256="e4dd1d8ec8ae3eb2a1ddc10ce4f9f5a59d7b8cd4a3c0d7d1c3e2d6f4f8b1a2c3",
    size=7,
)


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def trusting(*keys: Ed25519PrivateKey) -> dict[str, object]:
    return {key_id_of(one.public_key()): one.public_key() for one in keys}


def test_a_signature_of_a_trusted_publisher_gives_the_statement(key: Ed25519PrivateKey) -> None:
    assert verify(sign(key, STATEMENT), trusting(Ed25519PrivateKey.generate(), key)) == STATEMENT  # type: ignore[arg-type]


def test_an_unknown_publisher_is_refused_by_name(key: Ed25519PrivateKey) -> None:
    with pytest.raises(Refused, match=key_id_of(key.public_key())) as refused:
        verify(sign(key, STATEMENT), trusting(Ed25519PrivateKey.generate()))  # type: ignore[arg-type]
    assert refused.value.code == "PublisherUnknown"
    assert "as NAME.pub, into this machine's agent.publishers_folder" in str(refused.value)


def test_a_changed_statement_is_refused(key: Ed25519PrivateKey) -> None:
    with pytest.raises(Refused) as refused:
        verify(sign(key, STATEMENT).replace("1.2.0", "1.3.0"), trusting(key))  # type: ignore[arg-type]
    assert refused.value.code == "PublisherSignatureInvalid"


def test_a_signature_of_somebody_else_under_a_trusted_id_is_refused(key: Ed25519PrivateKey) -> None:
    other = Ed25519PrivateKey.generate()
    text = sign(other, STATEMENT).replace(key_id_of(other.public_key()), key_id_of(key.public_key()))
    with pytest.raises(Refused) as refused:
        verify(text, trusting(key))  # type: ignore[arg-type]
    assert refused.value.code == "PublisherSignatureInvalid"


@pytest.mark.parametrize("text", ["", "x" * 5000, "cloud-assistant signature 1\nkey 0\nsignature \nstatement {}\n"])
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid):
        parse(text)


@pytest.mark.parametrize(
    "words",
    [
        *(
            {"name": "../x"},
            {"name": "a..b"},
            {"version": "1/2"},
            {"version": "1..2"},
            {"os": "plan9"},
            {"arch": "a b"},
        ),
        *({"sha256": "0"}, {"size": -1}, {"v": 2}, {"v": 0}),
    ],
)
def test_words_that_could_lead_out_of_a_folder_are_not_signed(key: Ed25519PrivateKey, words: dict[str, object]) -> None:
    changed = Statement(**{**{name: getattr(STATEMENT, name) for name in STATEMENT.__struct_fields__}, **words})
    with pytest.raises(RequestInvalid):
        sign(key, changed)


def test_another_archive_than_the_signed_one_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        check_file(io.BytesIO(CONTENT), STATEMENT)
    assert refused.value.code == "ArchiveNotSigned"


def test_the_private_key_is_for_its_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "publisher-key.pem"
    made = create_private_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Refused):
        create_private_key(path)
    assert read_private_key(path).private_bytes_raw() == made.private_bytes_raw()
    path.chmod(0o640)
    with pytest.raises(SettingsInvalid, match="chmod 600"):
        read_private_key(path)


def test_on_a_full_disk_there_is_no_half_of_a_key(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        path = disk / "publisher-key.pem"
        fill(disk)
        with pytest.raises(OSError, match="No space left"):
            create_private_key(path)
        assert not path.exists()
        (disk / "ballast").unlink()
        assert key_id_of(create_private_key(path).public_key()) == key_id_of(read_private_key(path).public_key())


def test_publishers_are_read_from_a_folder_that_nobody_else_can_change(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    folder = tmp_path / "publishers"
    assert read_publishers(folder) == {}
    folder.mkdir()
    (folder / "us.pub").write_text(public_text(key.public_key()))
    assert list(read_publishers(folder)) == [key_id_of(key.public_key())]
    (folder / "us.pub").chmod(0o666)
    with pytest.raises(SettingsInvalid, match="may be changed by others"):
        read_publishers(folder)


def test_a_folder_of_publishers_in_which_others_may_put_keys_is_not_trusted(
    tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    (tmp_path / "us.pub").write_text(public_text(key.public_key()))
    tmp_path.chmod(0o775)
    with pytest.raises(SettingsInvalid, match="may be changed by others"):
        read_publishers(tmp_path)


@pytest.mark.parametrize("is_folder", [True, False], ids=["folder", "key"])
def test_publishers_that_belong_to_somebody_else_are_not_trusted(
    tmp_path: Path, key: Ed25519PrivateKey, is_folder: bool
) -> None:
    if os.geteuid() != 0:
        skip_without("root", "run the tests as root: only root can give a file to somebody else")
    path = tmp_path / "us.pub"
    path.write_text(public_text(key.public_key()))
    os.chown(tmp_path if is_folder else path, 65534, -1)
    with pytest.raises(SettingsInvalid, match="may be changed by others"):
        read_publishers(tmp_path)


def test_keys_of_another_kind_are_refused(tmp_path: Path) -> None:
    other = X25519PrivateKey.generate()
    (tmp_path / "us.pub").write_bytes(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(SettingsInvalid, match="not a public key of Ed25519"):
        read_publishers(tmp_path)
    path = tmp_path / "key.pem"
    path.touch(0o600)
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(SettingsInvalid, match="not one of Ed25519"):
        read_private_key(path)


def test_a_signature_whose_statement_cannot_be_read_is_refused(key: Ed25519PrivateKey) -> None:
    text = sign(key, STATEMENT)
    for bad in (text.replace('"v":1', '"v":"1"'), text.replace('"size"', '"weight"'), text.replace("=\n", "\n")):
        with pytest.raises(RequestInvalid) as refused:
            parse(bad)
        assert refused.value.code == "InvalidSignatureFile"


def test_openssl_verifies_the_same_bytes(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """What a shell script that joins a machine relies on."""
    (tmp_path / "us.pub").write_text(public_text(key.public_key()))
    (tmp_path / "archive.sig").write_text(sign(key, STATEMENT))
    script = (
        "sed -n 's/^signature //p' archive.sig | base64 -d > raw"
        " && sed -n 's/^statement //p' archive.sig | tr -d '\\n' > said"
        " && openssl pkeyutl -verify -rawin -pubin -inkey us.pub -in said -sigfile raw"
    )
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully"), done.stderr


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (("Linux", "x86_64"), ("linux", "x86_64")),
        (("Darwin", "arm64"), ("darwin", "aarch64")),
        (("Windows", "AMD64"), ("windows", "x86_64")),
        (("AIX", "ppc64"), ("aix", "ppc64")),
    ],
)
def test_a_system_has_one_name_whatever_it_calls_its_processor(said: tuple[str, str], named: tuple[str, str]) -> None:
    assert system_of(*said) == named


def test_a_signature_is_never_longer_than_any_is(key: Ed25519PrivateKey) -> None:
    text = sign(key, STATEMENT)
    assert parse(text).statement == STATEMENT
    with pytest.raises(RequestInvalid, match="not a publisher's signature"):
        parse(text.replace(',"version"', "," + " " * LIMIT_BYTES + '"version"'))


def test_a_size_that_is_not_that_of_the_content_is_refused() -> None:
    sha256, size_bytes = digest_of(io.BytesIO(CONTENT))
    right = msgspec.structs.replace(STATEMENT, sha256=sha256, size=size_bytes)
    check_file(io.BytesIO(CONTENT), right)
    with pytest.raises(Refused):
        check_file(io.BytesIO(CONTENT), msgspec.structs.replace(right, size=size_bytes + 1))
