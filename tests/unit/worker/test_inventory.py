import ipaddress
import socket
from pathlib import Path

import pytest

from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.worker import inventory
from cloud_assistant.worker.inventory import Inventory, address_towards, addresses, look

FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.2.0.0/16 2 0 2
        |-- 10.2.3.4
           /32 host LOCAL
        |-- 10.2.255.255
           /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 169.254.7.7
        /32 host LOCAL
"""
IF_INET6 = """fe8000000000000002000000000000aa 02 40 20 80     eth0
20010db8000000000000000000000001 02 40 00 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""


def test_addresses_are_read_from_the_kernels_tables(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(FIB_TRIE, encoding="ascii")
    (tmp_path / "if_inet6").write_text(IF_INET6, encoding="ascii")

    assert addresses(tmp_path) == ["10.2.3.4", "2001:db8::1"]
    assert addresses(tmp_path / "nothing") == []


def test_the_facts_of_this_machine_are_plausible() -> None:
    facts = look("redis://127.0.0.1:6379/0")

    assert facts["hostname"] == socket.gethostname()
    assert isinstance(facts["memory_bytes"], int)
    assert facts["memory_bytes"] > 100_000_000
    for one in filter(None, str(facts["ip_addresses"]).split(",")):
        assert not ipaddress.ip_address(one).is_loopback


@pytest.mark.parametrize(
    "url", ["unix:///run/redis.sock", "redis://localhost:6379", "nonsense", "redis://no.such.name"]
)
def test_the_address_is_never_that_of_loopback(url: str) -> None:
    found = address_towards(url)

    assert found == "" or not ipaddress.ip_address(found).is_loopback


def test_beside_redis_on_this_machine_the_address_is_that_of_the_default_route(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"127.0.0.1": "127.0.0.1", "::1": "::1", "10.9.9.9": "10.0.0.7"}
    monkeypatch.setattr(inventory, "_source_address", lambda target: own.get(target, "10.0.0.5"))

    assert address_towards("redis://10.9.9.9:6379") == "10.0.0.7"
    for url in ("redis://127.0.0.1:6379", "redis://[::1]:6379", "unix:///run/redis.sock", "nonsense"):
        assert address_towards(url) == "10.0.0.5"


def test_no_name_server_is_asked() -> None:
    assert inventory._source_address("localhost") == ""


def test_only_what_changed_is_told_and_looked_up_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(inventory, "monotonic_seconds", lambda: now[0])
    facts: dict[str, Argument] = {"hostname": "a", "ip_address": "10.0.0.1"}
    look_count = 0

    def look_up(_: str) -> dict[str, Argument]:
        nonlocal look_count
        look_count += 1
        return dict(facts)

    known = Inventory("redis://x", look_up=look_up)
    assert known.all() == facts
    known.note_told()
    facts["ip_address"] = "10.0.0.2"
    assert known.changed() == {}, "looked up again within the minute"
    now[0] += 61
    assert known.changed() == {"ip_address": "10.0.0.2"}
    assert known.changed() == {"ip_address": "10.0.0.2"}, "until it has arrived"
    known.note_told()
    assert known.changed() == {}
    now[0] += 61
    assert known.changed() == {}
    assert look_count == 3
