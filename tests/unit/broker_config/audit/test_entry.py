"""An entry of the audit fits one place of one chain only."""

import pytest

from cloud_assistant.broker_config.audit.entry import entry_mac, has_mac, is_sealed
from cloud_assistant.broker_config.security.signing import MasterKeys, new_master_keys

MASTER = new_master_keys()
PLACE = ("k1:before", 7, b"body")


@pytest.mark.parametrize("master", [MASTER, None], ids=["sealed", "unsealed"])
@pytest.mark.parametrize("other", [("k1:another", 7, b"body"), ("k1:before", 8, b"body"), ("k1:before", 7, b"bodz")])
def test_the_mac_of_an_entry_is_good_for_its_place_and_words_only(
    master: MasterKeys | None, other: tuple[str, int, bytes]
) -> None:
    made = entry_mac(master, *PLACE)
    assert is_sealed(made) == (master is not None)
    assert has_mac(master, made, *PLACE)
    assert not has_mac(master, made, *other)


def test_an_entry_is_sealed_by_the_key_that_it_names() -> None:
    made = entry_mac(MASTER, *PLACE)
    later = new_master_keys(MASTER)
    assert has_mac(later, made, *PLACE)
    assert not has_mac(later, made.replace("k1:", "k2:"), *PLACE)
    for without in (None, MasterKeys("k2", {"k2": later.keys["k2"]})):
        with pytest.raises(KeyError):
            has_mac(without, made, *PLACE)
    assert not has_mac(MASTER, entry_mac(None, *PLACE).replace(":", "k1:"), *PLACE)
