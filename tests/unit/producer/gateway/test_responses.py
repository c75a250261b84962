"""Answers and errors as clients read them, in JSON and XML."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

import pytest

from cloud_assistant.producer.gateway.api_errors import ApiError, api_error
from cloud_assistant.producer.gateway.responses import (
    AnswerFormat,
    error_reply,
    format_of,
    success_reply,
    written_entry,
)
from cloud_assistant.producer.gateway.serving.http_messages import HttpRequest

ID = "0A5E2F6C-0000-4000-8000-000000000000"


def request(**headers: str) -> HttpRequest:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HttpRequest("POST", "/", b"", pairs, b"")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"Signature": "x"}, "XML"),
        ({"Signature": "x", "Format": ""}, "XML"),
        ({"Signature": "x", "Format": "XML"}, "XML"),
        ({"Signature": "x", "Format": "xml"}, "XML"),
        ({"Signature": "x", "Format": "JSON"}, "JSON"),
        ({"Signature": "x", "Format": "json"}, "JSON"),
        ({}, "XML"),
    ],
)
def test_version_1_chooses_by_format_and_is_xml_without(sent: dict[str, str], expected: str) -> None:
    assert format_of(request(accept="*/*"), sent) == expected


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        format_of(request(), {"Signature": "x", "Format": "YAML"})
    assert (caught.value.code, caught.value.http_status) == ("InvalidParameter.Format", 400)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "JSON"),
        ("*/*", "JSON"),
        ("application/json", "JSON"),
        ("application/xml", "XML"),
        ("text/xml, */*;q=0.1", "XML"),
        ("application/xml, application/json", "JSON"),
    ],
)
def test_version_3_chooses_by_accept_and_is_json_without(accept: str, expected: str) -> None:
    signed = request(authorization="ACS3-HMAC-SHA256 …", accept=accept)
    assert format_of(signed, {"Format": "XML"} if expected == "JSON" else {}) == expected


def test_an_unsigned_request_that_accepts_json_gets_json() -> None:
    assert format_of(request(accept="application/json"), {}) == "JSON"


def test_a_json_answer_carries_the_request_id_in_body_and_header() -> None:
    reply = success_reply("CreateCommand", {"CommandId": "c-1"}, ID, AnswerFormat.JSON)
    assert reply.http_status == 200
    assert reply.content_type == "application/json;charset=utf-8"
    assert json.loads(reply.body) == {"CommandId": "c-1", "RequestId": ID}
    assert reply.headers["x-acs-request-id"] == ID


def test_text_is_utf8_and_not_escaped_beyond_need() -> None:
    reply = success_reply("A", {"Name": "你好"}, ID, AnswerFormat.JSON)
    assert "你好".encode() in reply.body


def test_an_error_has_the_apis_shape() -> None:
    reply = error_reply(api_error("InvalidCmdId.NotFound"), "gateway:8177", ID, AnswerFormat.JSON)
    assert reply.http_status == 404
    assert json.loads(reply.body) == {
        "RequestId": ID,
        "HostId": "gateway:8177",
        "Code": "InvalidCmdId.NotFound",
        "Message": api_error("InvalidCmdId.NotFound").message,
        "Recommend": "",
    }


def test_an_error_may_carry_a_time_to_retry() -> None:
    reply = error_reply(api_error("Throttling.User", retry_after_seconds=3), "", ID, AnswerFormat.JSON)
    assert reply.headers["x-acs-retry-after"] == "3"


def test_an_xml_answer_wraps_lists_as_the_wrapper_pair_does() -> None:
    fields = {
        "TotalCount": 2,
        "Commands": {"Command": [{"CommandId": "c-1", "Tags": {"Tag": []}}, {"CommandId": "c-2"}]},
        "Flags": {"On": True, "Off": False, "Nothing": None},
    }
    reply = success_reply("DescribeCommands", fields, ID, AnswerFormat.XML)
    assert reply.content_type == "text/xml;charset=utf-8"
    assert reply.body.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?><DescribeCommandsResponse><TotalCount>2</TotalCount>'
        "<Commands><Command><CommandId>c-1</CommandId><Tags></Tags></Command>"
        "<Command><CommandId>c-2</CommandId></Command></Commands>"
        "<Flags><On>true</On><Off>false</Off><Nothing></Nothing></Flags>"
        f"<RequestId>{ID}</RequestId></DescribeCommandsResponse>"
    )


def test_a_flat_list_becomes_the_repeated_element() -> None:
    fields = {"ActivationList": [{"ActivationId": "A"}, {"ActivationId": "B"}]}
    root = ElementTree.fromstring(success_reply("DescribeActivations", fields, ID, AnswerFormat.XML).body)
    assert [e.text for e in root.findall("ActivationList/ActivationId")] == ["A", "B"]


def test_an_xml_error_has_the_root_error() -> None:
    root = ElementTree.fromstring(error_reply(api_error("NoSuchVersion"), "h", ID, AnswerFormat.XML).body)
    assert root.tag == "Error"
    assert {child.tag for child in root} == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert root.findtext("Code") == "NoSuchVersion"


@pytest.mark.parametrize("text", ["<&>\"'", "a\r\nb\tc", "你好 😀", " spaces "])
def test_any_text_survives_xml(text: str) -> None:
    body = success_reply("A", {"Name": text}, ID, AnswerFormat.XML).body
    assert ElementTree.fromstring(body).findtext("Name") == text


def test_what_xml_cannot_hold_is_replaced() -> None:
    body = success_reply("A", {"Name": "a\x00\x1b\ufffe\ud800b"}, ID, AnswerFormat.XML).body
    assert ElementTree.fromstring(body).findtext("Name") == "a\ufffd\ufffd\ufffd\ufffdb"


@pytest.mark.parametrize("answer_format", list(AnswerFormat))
def test_entries_that_were_written_one_by_one_make_the_same_answer(answer_format: AnswerFormat) -> None:
    entries: list[Mapping[str, object]] = [
        {"InvokeId": "t-1", "Name": 'a < b & "c"\r', "Tags": {"Tag": [{"TagKey": "k"}, {"TagKey": "l"}]}},
        {"InvokeId": "t-2", "Name": "", "Timed": False, "Tags": {"Tag": []}},
    ]
    written = [written_entry("Invocation", one, answer_format) for one in entries]
    replies = [
        success_reply("DescribeInvocations", {"TotalCount": 2, "Invocations": {"Invocation": list_}}, ID, answer_format)
        for list_ in (entries, written)
    ]
    whole, in_pieces = replies
    assert len(in_pieces.more) == 4, "each entry, and what stands behind it"
    assert in_pieces.body_bytes == whole.body_bytes == len(whole.body)
    assert b"".join([in_pieces.body, *in_pieces.more]) == whole.body
