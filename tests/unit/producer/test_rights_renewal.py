"""Which rights are told as changed."""

import pytest

from cloud_assistant.producer.security.rights_renewal import _User, _Wanted

WANTED = _Wanted("beat", "ca-beat", ["-@all", "+get"])
BEFORE = {
    b"flags": [b"on"],
    b"passwords": [b"1f"],
    b"commands": b"-@all +get -scan",
    b"keys": b"~ca:*",
    b"selectors": [],
}


def described(**changes: object) -> _User:
    fields = {**BEFORE, **{name.encode(): value for name, value in changes.items()}}
    return _User(WANTED, [part for pair in fields.items() for part in pair])


def test_the_order_in_which_a_server_tells_commands_is_no_change() -> None:
    """Redis 7.0 tells those of one user in another order each time."""
    assert described().has_rights_of(described(commands=b"-@all -scan +get"))


@pytest.mark.parametrize(
    "change", [{"commands": b"-@all +get"}, {"commands": b"-@all +get -scan +set"}, {"keys": b"~*"}], ids=str
)
def test_other_rights_are_a_change(change: dict[str, bytes]) -> None:
    assert not described().has_rights_of(described(**change))
