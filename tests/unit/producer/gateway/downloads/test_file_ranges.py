"""What a request for a part of a file gets."""

import pytest

from cloud_assistant.producer.gateway.downloads.file_ranges import FilePart, part_of
from cloud_assistant.producer.gateway.serving.http_messages import HttpRequest

ETAG = '"abc"'


def asked(**headers: str) -> FilePart:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return part_of(HttpRequest("GET", "/files/abc", b"", named, b""), etag=ETAG, size_bytes=100)


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-9", FilePart(206, 0, 10)),
        ("bytes=90-", FilePart(206, 90, 10)),
        ("bytes=90-1000", FilePart(206, 90, 10)),
        ("bytes=-10", FilePart(206, 90, 10)),
        ("bytes=-1000", FilePart(206, 0, 100)),
        ("bytes=-1", FilePart(206, 99, 1)),
        ("bytes=99-99", FilePart(206, 99, 1)),
        ("bytes=100-", FilePart(416, 0, 0)),
        ("bytes=-0", FilePart(416, 0, 0)),
        ("bytes=9-0", FilePart(200, 0, 100)),
        ("bytes=0-1,5-6", FilePart(200, 0, 100)),
        ("lines=0-9", FilePart(200, 0, 100)),
    ],
)
def test_a_range_is_answered_with_its_part(wanted: str, part: FilePart) -> None:
    assert asked(range=wanted) == part


def test_a_range_of_another_file_gets_the_whole() -> None:
    assert asked(range="bytes=90-", if_range='"xyz"') == FilePart(200, 0, 100)
    assert asked(range="bytes=90-", if_range=ETAG) == FilePart(206, 90, 10)


def test_who_has_the_file_gets_nothing() -> None:
    assert asked(if_none_match=f'"xyz", {ETAG}').http_status == 304
