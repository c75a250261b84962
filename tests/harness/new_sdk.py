"""Clients of today's Python SDK, and what a test has to tidy up after it."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from alibabacloud_ecs20140526.client import Client
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.core import DaraCore

REGION = "cn-hangzhou"
#: The SDKs leave their sockets to the garbage collector.
SDK_MARKS = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def sdk_client(port: int, key_id: str, secret: str, **options: Any) -> Client:
    """A client of a gateway on loopback; options are the SDK's own."""
    return Client(
        Config(
            access_key_id=key_id,
            access_key_secret=secret,
            region_id=REGION,
            endpoint=f"127.0.0.1:{port}",
            protocol="HTTP",
            **options,
        )
    )


@pytest.fixture(autouse=True)
def closed_sdk_sessions() -> Iterator[None]:
    """Close what the SDK keeps open; for all tests of a module that imports it."""
    yield
    for session in DaraCore._sessions.values():
        session.close()
    DaraCore._sessions.clear()
    gc.collect()
