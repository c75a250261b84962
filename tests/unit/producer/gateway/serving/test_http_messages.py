"""What counts as the path, and what counts as a form."""

import pytest

from cloud_assistant.producer.gateway.serving.http_messages import HttpRequest, path_of_target


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"),
        (b"http://ecs-cn-hangzhou.aliyuncs.com/", "/"),
        (b"http://ecs-cn-hangzhou.aliyuncs.com", "/"),
        (b"HTTPS://name:8443/", "/"),
        (b"http://name/cli/descriptor", "/cli/descriptor"),
        (b"/cli/descriptor", "/cli/descriptor"),
        (b"//", "//"),
        (b"/%2F", "/%2F"),
        (b"*", "*"),
        (b"/http://name/", "/http://name/"),
    ],
)
def test_an_absolute_target_means_the_path_after_the_name(target: bytes, path: str) -> None:
    assert path_of_target(target) == path


@pytest.mark.parametrize(
    ("content_type", "is_form"),
    [
        (b"application/x-www-form-urlencoded", True),
        (b"Application/X-WWW-Form-Urlencoded; charset=UTF-8", True),
        (b"application/octet-stream", False),
        (b"", False),
    ],
)
def test_only_a_form_content_type_makes_the_body_a_form(content_type: bytes, is_form: bool) -> None:
    assert HttpRequest("POST", "/", b"", [(b"content-type", content_type)], b"").has_form is is_form


def test_a_header_that_is_absent_is_empty() -> None:
    request = HttpRequest("GET", "/", b"", [(b"host", b"h:1")], b"")
    assert request.called_name == "h:1"
    assert request.header(b"accept") == ""
    assert request.header_values(b"accept") == []


def test_a_short_header_counts_for_more_than_its_text() -> None:
    request = HttpRequest("GET", "/", b"a=b", [(b"a", b"")] * 100, b"")
    assert request.head_bytes == 1 + 3 + 100 * 201


def test_a_name_that_is_longer_than_any_is_none() -> None:
    assert HttpRequest("GET", "/", b"", [(b"host", b"h" * 300)], b"").called_name == "h" * 300
    assert HttpRequest("GET", "/", b"", [(b"host", b"h" * 301)], b"").called_name == ""
