"""Query and form become one set of parameters."""

import pytest

from cloud_assistant.producer.gateway.api_errors import ApiError
from cloud_assistant.producer.gateway.request_parameters import assembled, with_todays_names
from cloud_assistant.producer.gateway.serving.http_messages import HttpRequest

FORM = [(b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")]


def post(query: bytes, body: bytes = b"", headers: list[tuple[bytes, bytes]] = FORM) -> HttpRequest:
    return HttpRequest("POST", "/", query, headers, body)


def test_the_form_wins_over_the_query() -> None:
    parameters = assembled(post(b"Name=query&Type=T", b"Name=form"))
    assert parameters.merged == {"Name": "form", "Type": "T"}
    assert parameters.query == {"Name": "query", "Type": "T"}


def test_a_body_of_another_type_is_no_parameter() -> None:
    parameters = assembled(post(b"Name=query", b"Name=body", [(b"content-type", b"application/octet-stream")]))
    assert parameters.merged == {"Name": "query"}


def test_a_plus_is_a_space_and_an_encoded_plus_is_a_plus() -> None:
    assert assembled(post(b"A=a+b%2Bc%20d", b"B=a+b%2Bc%20d")).merged == {"A": "a b+c d", "B": "a b+c d"}


def test_blank_values_are_kept() -> None:
    assert assembled(post(b"SignatureType=&Flag&=x")).merged == {"SignatureType": "", "Flag": "", "": "x"}


def test_names_and_values_are_utf8() -> None:
    assert assembled(post("名=%E4%BD%A0".encode(), "B=你".encode())).merged == {"名": "你", "B": "你"}


@pytest.mark.parametrize(("query", "body"), [(b"A=%ff", b""), (b"\xff", b""), (b"", b"A=%ed%a0%80")])
def test_bytes_that_are_not_utf8_are_refused(query: bytes, body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        assembled(post(query, body))
    assert (caught.value.code, caught.value.http_status) == ("InvalidParameter", 400)


@pytest.mark.parametrize(
    ("action", "sent", "read"),
    [
        ("CreateCommand", {"TimeOut": "60"}, {"Timeout": "60"}),
        ("CreateCommand", {"TimeOut": "60", "Timeout": "30"}, {"Timeout": "30"}),
        ("DescribeInvocations", {"Type": "RunShellScript"}, {"CommandType": "RunShellScript"}),
        ("DescribeInvocations", {"Type": "A", "CommandType": "B"}, {"CommandType": "B"}),
        ("CreateCommand", {"Type": "RunShellScript"}, {"Type": "RunShellScript"}),
    ],
)
def test_older_spellings_are_understood(action: str, sent: dict[str, str], read: dict[str, str]) -> None:
    values = with_todays_names(action, sent)
    assert {name: values[name] for name in read} == read
    assert ("CommandType" in values) == (action == "DescribeInvocations")
