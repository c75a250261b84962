"""What is published, what is refused, and what a machine is given of several that fit."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.releases.publisher_keys import public_text
from cloud_assistant.broker_config.releases.publisher_signing import Statement, parse, sign, statement_of
from cloud_assistant.broker_config.settings_table import AgentSettings, Settings
from cloud_assistant.producer.file_store.content_store import PART_LIFE_MS
from cloud_assistant.producer.file_store.publishing import Publishing
from cloud_assistant.producer.file_store.uploading import upload
from cloud_assistant.producer.gateway_client import GatewayClient


@dataclass
class Shop:
    """A file store with its catalogue, and a publisher."""

    publishing: Publishing
    folder: Path
    key: Ed25519PrivateKey

    def archive(self, content: bytes = b"tools") -> Path:
        path = self.folder / "tools.tar.gz"
        path.write_bytes(content)
        return path

    def statement(self, version: str = "1.0", os: str = "any", arch: str = "any") -> Statement:
        return statement_of(self.archive(), name="tools", version=version, os=os, arch=arch)

    def publish(self, *about: str) -> None:
        self.publishing.publish_file(self.archive(), sign(self.key, self.statement(*about)))


@pytest.fixture
def shop(redis: Redis, tmp_path: Path) -> Shop:
    publishers = tmp_path / "publishers"
    publishers.mkdir(mode=0o755)
    settings = Settings(redis_url=redis.url, home=str(tmp_path), agent=AgentSettings(publishers_folder=str(publishers)))
    return Shop(Publishing(redis, settings), tmp_path, Ed25519PrivateKey.generate())


def test_where_publishers_are_known_nobody_else_publishes(shop: Shop) -> None:
    trusted = shop.folder / "publishers/us.pub"
    trusted.write_text(public_text(Ed25519PrivateKey.generate().public_key()))
    trusted.chmod(0o644)
    with pytest.raises(Refused):
        shop.publish()
    assert (shop.publishing.catalogue.list(), shop.publishing.store.list()) == ([], [])
    trusted.write_text(public_text(shop.key.public_key()))
    shop.publish()
    assert [one.version for one in shop.publishing.catalogue.list()] == ["1.0"]


def test_a_size_that_was_signed_and_is_not_the_archives_is_refused(shop: Shop) -> None:
    lie = msgspec.structs.replace(shop.statement(), size=6)
    with pytest.raises(Refused) as refused:
        shop.publishing.publish_file(shop.archive(), sign(shop.key, lie))
    assert refused.value.code == "ArchiveNotSigned"
    assert shop.publishing.catalogue.list() == []


def test_what_uploads_left_long_ago_goes_when_something_is_published(shop: Shop) -> None:
    shop.publishing.store.append_part("1" * 64, 0, b"x")
    [part] = shop.folder.rglob("*.part")
    long_ago = (now_ms() - PART_LIFE_MS) / 1000 - 60
    os.utime(part, (long_ago, long_ago))
    shop.publish()
    assert not part.exists()


def test_of_the_newest_version_what_was_made_for_the_very_system_comes_first(shop: Shop) -> None:
    for about in (
        ("1.10", "any", "any"),
        ("1.10", "linux", "any"),
        ("1.10", "linux", "x86_64"),
        ("1.9", "linux", "x86_64"),
    ):
        shop.publish(*about)

    def found(version: str, os: str, arch: str) -> str:
        return shop.publishing.catalogue.find("tools", version, os=os, arch=arch).field

    assert found("latest", "linux", "x86_64") == "tools/1.10/linux/x86_64"
    assert found("latest", "linux", "aarch64") == "tools/1.10/linux/any"
    assert found("latest", "freebsd", "amd64") == "tools/1.10/any/any"
    assert found("1.9", "linux", "x86_64") == "tools/1.9/linux/x86_64"
    shop.publish("2.0", "any", "any")
    assert found("latest", "linux", "x86_64") == "tools/2.0/any/any", "a newer one for all comes before"


def test_an_archive_that_became_shorter_since_it_was_signed_is_not_sent(shop: Shop) -> None:
    signed = parse(sign(shop.key, shop.statement()))
    # Nobody answers there: it is not even asked.
    with pytest.raises(Refused, match="is shorter than what was signed"):
        upload(GatewayClient("http://127.0.0.1:1", "id", "secret"), shop.archive(b""), signed)
