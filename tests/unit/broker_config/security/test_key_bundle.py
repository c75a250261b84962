"""New keys reach the instance they are for, and come from who made its old ones."""

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.security.key_bundle import KeyBundle, unwrap, wrap
from cloud_assistant.broker_config.security.sealing import seal
from cloud_assistant.broker_config.security.signing import subkey

HELD = {"k1": b"a" * 32}
BUNDLE = KeyBundle(7, "k2", {"k1": b"a" * 32, "k2": b"b" * 32})


def test_a_bundle_opens_with_a_key_that_is_held() -> None:
    wrapped = wrap(BUNDLE, "i-1", key_id="k1", key=HELD["k1"])
    assert unwrap(wrapped, "i-1", HELD) == BUNDLE
    assert b"b" * 8 not in wrapped


@pytest.mark.parametrize(
    ("instance_id", "held"), [("i-2", HELD), ("i-1", {"k1": b"x" * 32}), ("i-1", {"k2": b"a" * 32}), ("i-1", {})]
)
def test_it_opens_for_no_other_instance_and_with_no_other_key(instance_id: str, held: dict[str, bytes]) -> None:
    wrapped = wrap(BUNDLE, "i-1", key_id="k1", key=HELD["k1"])
    with pytest.raises(Refused):
        unwrap(wrapped, instance_id, held)


def test_a_bundle_whose_current_key_is_not_in_it_is_refused() -> None:
    wrapped = wrap(KeyBundle(7, "k3", BUNDLE.keys), "i-1", key_id="k1", key=HELD["k1"])
    with pytest.raises(Refused, match="not among them"):
        unwrap(wrapped, "i-1", HELD)


@pytest.mark.parametrize("contents", [b"[]", b'{"serial": 1, "current": "k1", "keys": {"k1": "no hexadecimal"}}'])
def test_what_makes_no_sense_is_refused_though_somebody_with_the_key_has_made_it(contents: bytes) -> None:
    wrapped = b"k1:" + seal(subkey(HELD["k1"], "key bundle"), contents, b"i-1")
    with pytest.raises(Refused, match="cannot be read"):
        unwrap(wrapped, "i-1", HELD)


def test_keys_are_not_shown() -> None:
    assert repr(BUNDLE) == "KeyBundle(serial=7, current='k2')"
