"""Which addresses of Redis are of use on other machines."""

import pytest

from cloud_assistant.producer.security.credentials import is_of_this_machine


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("redis://127.0.0.1:6379/0", True),
        ("redis://localhost/0", True),
        ("rediss://[::1]:6380/0", True),
        ("unix:///run/redis.sock?db=0", True),
        ("sentinel://redis-1.example:26379,127.0.0.1:26379/main/0", True),
        ("rediss://redis.example:6380/0", False),
        ("sentinel://redis-1.example:26379,redis-2.example:26379/main/0", False),
    ],
)
def test_an_address_that_names_this_machine_is_of_no_use_elsewhere(redis_url: str, expected: bool) -> None:
    assert is_of_this_machine(redis_url) is expected
