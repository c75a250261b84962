"""Publishing versions and packages: over HTTPS by the CA that is set, or on the gateway's own machine."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from e2e.upgrade.bundles import archive_of
from integration.gateway.whole_gateway import KEY_ID, SECRET, WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.audit.entry import decode_entry
from cloud_assistant.broker_config.releases.publisher_signing import AGENT_NAME, SUFFIX, sign, statement_of
from cloud_assistant.producer.cli import main
from cloud_assistant.producer.cli.exit_codes import UNREACHABLE
from cloud_assistant.producer.file_store.catalogue import Catalogue
from cloud_assistant.producer.file_store.uploading import PART_BYTES
from harness.certificates import Authority
from harness.redis_server import RedisServer

KINDS = ["agent-version", "package"]


@dataclass
class Publisher:
    """An archive of each kind with its signature, and an operator's machine to publish them from."""

    folder: Path
    redis_url: str

    def archive(self, kind: str) -> Path:
        """More than one request can carry, so that the connection is made more than once."""
        key = Ed25519PrivateKey.generate()
        if kind == "agent-version":
            return archive_of(self.folder, "2.0.0", key)
        path = self.folder / "tools-2.0.0-any-any.tar.gz"
        path.write_bytes(b"\0" * (PART_BYTES + 1))
        statement = statement_of(path, name="tools", version="2.0.0", os="any", arch="any")
        path.with_name(path.name + SUFFIX).write_text(sign(key, statement))
        return path

    def publish(self, kind: str) -> int:
        return main([kind, "publish", str(self.archive(kind)), "--redis-url", self.redis_url])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def whole(redis_server: RedisServer, authority: Authority, tmp_path: Path) -> Iterator[WholeGateway]:
    certificate = authority.issue("gateway", "127.0.0.1")
    with whole_gateway(redis_server.url(), tmp_path / "home", certificate=certificate) as gateway:
        yield gateway


@pytest.fixture
def publisher(redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    folder = tmp_path / "operator"
    folder.mkdir()
    monkeypatch.setenv("CLOUD_ASSISTANT_HOME", str(folder))
    return Publisher(folder, redis_server.url())


@pytest.fixture
def through(whole: WholeGateway, monkeypatch: pytest.MonkeyPatch) -> WholeGateway:
    """The operator publishes through the gateway, which only its own CA vouches for."""
    monkeypatch.setenv("CLOUD_ASSISTANT_GATEWAY_URL", f"https://127.0.0.1:{whole.port}")
    monkeypatch.setenv("CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_SECRET", SECRET)
    return whole


def published(whole: WholeGateway, kind: str) -> list[tuple[str, str]]:
    name = AGENT_NAME if kind == "agent-version" else "tools"
    return [(one.name, one.version) for one in Catalogue(whole.assistant.redis).list(name)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_gateway_with_a_certificate_by_the_ca_that_is_set_takes_it(
    through: WholeGateway, publisher: Publisher, authority: Authority, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_GATEWAY_CA_FILE", str(authority.ca))
    assert publisher.publish(kind) == 0
    assert [version for _, version in published(through, kind)] == ["2.0.0"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ca", ["another", "none"])
def test_a_gateway_that_no_known_ca_vouches_for_is_sent_nothing(
    through: WholeGateway,
    publisher: Publisher,
    kind: str,
    ca: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    if ca == "another":
        monkeypatch.setenv("CLOUD_ASSISTANT_GATEWAY_CA_FILE", str(Authority(tmp_path / "other-ca").ca))
    assert publisher.publish(kind) == UNREACHABLE
    assert "gateway.ca_file" in capsys.readouterr().err
    assert published(through, kind) == []
    assert not list((tmp_path / "home").rglob("*.part"))


@pytest.mark.parametrize("kind", KINDS)
def test_publishing_on_the_gateways_machine_is_one_change_in_the_audit(
    whole: WholeGateway, publisher: Publisher, kind: str
) -> None:
    assert publisher.publish(kind) == 0
    system = f"linux/{platform.machine()}" if kind == "agent-version" else "any/any"
    ((name, version),) = published(whole, kind)
    entered = [decode_entry(fields[3]) for _, fields in whole.assistant.redis.call("XRANGE", keys.AUDIT, "-", "+")]
    assert [(one.action, one.what, str(one.outcome)) for one in entered] == [
        ("PublishPackage", f"{name}/{version}/{system}", outcome) for outcome in ("begun", "done")
    ]
