"""A version that is published again with other content replaces what it was, and leaves nothing that nobody needs."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.releases.publisher_keys import create_private_key
from cloud_assistant.broker_config.releases.publisher_signing import AGENT_NAME, sign, statement_of
from cloud_assistant.broker_config.releases.rollouts import Rollout, Wish, save_rollout
from cloud_assistant.broker_config.settings_table import AgentSettings, GatewaySettings, Settings
from cloud_assistant.producer.file_store.catalogue import CatalogueEntry
from cloud_assistant.producer.file_store.publishing import Publishing


class Publisher:
    """One who publishes contents under names."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        gateway, agent = GatewaySettings(files_folder=str(folder / "files")), AgentSettings(publishers_folder="/none")
        self._folder = folder
        self._key = create_private_key(folder / "publisher.pem")
        self.at = Publishing(redis, Settings(redis_url=redis.url, home=str(folder), gateway=gateway, agent=agent))

    def publish(self, content: str, name: str = "tools", os: str = "any") -> CatalogueEntry:
        archive = self._folder / "archive"
        archive.write_text(content)
        signature = sign(self._key, statement_of(archive, name=name, version="1.0", os=os, arch="any"))
        return self.at.publish_file(archive, signature)

    def stored(self) -> set[str]:
        return {one.path.read_text() for one in self.at.store.list()}


@pytest.fixture
def publisher(redis: Redis, tmp_path: Path) -> Publisher:
    return Publisher(redis, tmp_path)


def test_what_nobody_needs_any_more_goes(publisher: Publisher) -> None:
    publisher.publish("old")
    publisher.publish("new")
    assert publisher.stored() == {"new"}
    publisher.publish("new")
    assert publisher.stored() == {"new"}
    assert [one.signed.statement.size for one in publisher.at.catalogue.list()] == [3]


def test_what_another_system_or_package_needs_stays(publisher: Publisher) -> None:
    publisher.publish("old")
    publisher.publish("old", os="linux")
    publisher.publish("old", name="other")
    publisher.publish("new")
    assert publisher.stored() == {"old", "new"}
    publisher.publish("new", os="linux")
    assert publisher.stored() == {"old", "new"}
    publisher.publish("new", name="other")
    assert publisher.stored() == {"new"}


@pytest.mark.parametrize("wish", Wish)
def test_what_an_open_roll_out_gives_orders_for_stays(publisher: Publisher, redis: Redis, wish: Wish) -> None:
    entry = publisher.publish("old", name=AGENT_NAME, os="linux")
    signatures = {"linux/x86_64": entry.signed.text}
    rollout = Rollout(rollout_id="t-1", created_ms=1, version="1.0", wish=wish, url="", signatures=signatures)
    save_rollout(redis, rollout, None)
    save_rollout(redis, replace(rollout, rollout_id="t-2", wish=Wish.RUN, signatures={}), None)
    publisher.publish("new", name=AGENT_NAME, os="linux")
    assert publisher.stored() == ({"new"} if wish is Wish.CANCEL else {"old", "new"})


def test_where_that_cannot_be_told_it_stays(publisher: Publisher, redis: Redis) -> None:
    publisher.publish("old")
    redis.call("HSET", keys.ROLLOUTS, "t-1", "x")
    publisher.publish("new")
    assert publisher.stored() == {"old", "new"}


def test_what_was_cut_off_is_completed_by_the_same_once_more(publisher: Publisher) -> None:
    publisher.publish("old")
    [stored] = publisher.at.store.list()
    # Nobody, root neither, removes a folder as a file.
    stored.path.unlink()
    stored.path.mkdir()
    with pytest.raises(OSError, match=stored.sha256):
        publisher.publish("new")
    stored.path.rmdir()
    stored.path.write_text("old")
    publisher.publish("new")
    assert publisher.stored() == {"new"}
