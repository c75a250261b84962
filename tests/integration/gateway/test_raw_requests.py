"""The odd requests of real clients, replayed byte for byte over a socket with fresh signatures."""

import socket
import xml.etree.ElementTree as ElementTree
from urllib.parse import quote, urlencode

import pytest
from integration.gateway.raw_http import connection_to, exchange, read_reply
from integration.gateway.running_gateway import arrived
from unit.producer.gateway.captures import V1_CAPTURES, V3_CAPTURES
from unit.producer.gateway.signing import now_text, v1_parameters, v1_query, v3_headers

from cloud_assistant.producer.gateway.serving import http_protocol
from cloud_assistant.producer.gateway.serving.server import GatewayServer
from harness.eventually import eventually

INVOKE = {"CommandId": "c-test", "InstanceId.1": "i-1", "InstanceId.2": "i-2", "RegionId": "cn-hangzhou"}
FORM = "content-type: application/x-www-form-urlencoded"


def head_lines(headers: dict[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


def test_a_form_that_holds_everything_with_nothing_in_the_query(port: int) -> None:
    parameters = v1_parameters("InvokeCommand", {**INVOKE, "Frequency": "0 */10 * * * *", "Timed": "false"})
    body = urlencode(parameters, quote_via=quote).encode()
    reply = exchange(port, f"POST / HTTP/1.1\nHost: g\n{FORM}\nContent-Length: {len(body)}", body)
    assert (reply.http_status, reply.fields["InvokeId"]) == (200, "t-test")
    assert arrived["InstanceIds"] == "i-1,i-2"


def test_a_form_in_chunks(port: int) -> None:
    body = urlencode(v1_parameters("InvokeCommand", INVOKE)).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    reply = exchange(port, f"POST / HTTP/1.1\nHost: g\n{FORM}\nTransfer-Encoding: chunked", chunks)
    assert reply.http_status == 200


def test_the_get_of_2017(port: int) -> None:
    query = v1_query("InvokeCommand", INVOKE, method="GET", Format="json")
    reply = exchange(port, f"GET /?{query} HTTP/1.1\nHost: g")
    assert (reply.http_status, reply.fields["InvokeId"]) == (200, "t-test")


@pytest.mark.parametrize("target", ["http://ecs-cn-hangzhou.aliyuncs.com/?", "http://ecs-cn-hangzhou.aliyuncs.com?"])
def test_the_absolute_target_of_a_client_behind_a_proxy(port: int, target: str) -> None:
    reply = exchange(
        port, f"POST {target}{v1_query('InvokeCommand', INVOKE)} HTTP/1.1\nHost: ecs-cn-hangzhou.aliyuncs.com"
    )
    assert (reply.http_status, reply.fields["InvokeId"]) == (200, "t-test")


def test_the_telemetry_of_the_old_command_line_is_a_plain_404(port: int) -> None:
    for target in ("/cli/descriptor?a=b", "http://127.0.0.1/cli/descriptor?a=b"):
        reply = exchange(port, f"GET {target} HTTP/1.1\nHost: g")
        assert (reply.http_status, reply.body) == (404, b"not found\n")


def test_an_id_that_the_client_split_is_explained(port: int) -> None:
    split = {f"InstanceId.{index}": letter for index, letter in enumerate("i-abc1", start=1)}
    query = v1_query("InvokeCommand", {"CommandId": "c-test", **split})
    reply = exchange(port, f"POST /?{query} HTTP/1.1\nHost: g")
    assert (reply.http_status, reply.fields["Code"]) == (404, "InvalidInstance.NotFound")
    assert "split" in reply.fields["Message"]


def test_a_query_left_raw_under_version_3(port: int) -> None:
    parameters = {**INVOKE, "Frequency": "0 */10 * * * *", "Note": "a:b/'()!~*"}
    headers = v3_headers("InvokeCommand", parameters, called_name=f"127.0.0.1:{port}")
    raw = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in parameters.items())
    reply = exchange(port, f"POST /?{raw} HTTP/1.1\ncontent-type: application/octet-stream\n{head_lines(headers)}")
    assert (reply.http_status, reply.fields["InvokeId"]) == (200, "t-test")


@pytest.mark.parametrize("capture", [*V1_CAPTURES, *V3_CAPTURES], ids=str)
def test_a_recorded_request_of_another_day_is_expired(port: int, capture: object) -> None:
    recorded = next(c for c in (*V1_CAPTURES, *V3_CAPTURES) if c is capture)
    headers = {"Host": "g", **recorded.headers}
    if "host" in recorded.headers:
        del headers["Host"]
    headers["content-length"] = str(len(recorded.body))
    head = f"{recorded.method} {recorded.target} HTTP/1.1\n{head_lines(headers)}"
    reply = exchange(port, head, recorded.body.encode())
    assert reply.http_status == 400
    assert reply.fields["Code"] == "InvalidTimeStamp.Expired"


def test_a_nonce_works_once(port: int) -> None:
    head = f"POST /?{v1_query('InvokeCommand', INVOKE)} HTTP/1.1\nHost: g"
    assert exchange(port, head).http_status == 200
    again = exchange(port, head)
    assert (again.http_status, again.fields["Code"]) == (400, "SignatureNonceUsed")


def test_a_nonce_works_once_under_version_3(port: int) -> None:
    headers = v3_headers("InvokeCommand", INVOKE, called_name="g")
    head = f"POST /?{urlencode(INVOKE)} HTTP/1.1\n{head_lines(headers)}"
    assert exchange(port, head).http_status == 200
    again = exchange(port, head)
    assert (again.http_status, again.fields["Code"]) == (400, "SignatureNonceUsed")


@pytest.mark.parametrize("offset_seconds", [-960, 960])
def test_a_clock_16_minutes_off_is_refused_under_both_versions(port: int, offset_seconds: int) -> None:
    off = now_text(offset_seconds)
    first = exchange(port, f"POST /?{v1_query('InvokeCommand', INVOKE, Timestamp=off)} HTTP/1.1\nHost: g")
    headers = v3_headers("InvokeCommand", INVOKE, called_name="g", x_acs_date=off)
    second = exchange(port, f"POST /?{urlencode(INVOKE)} HTTP/1.1\n{head_lines(headers)}")
    for reply in (first, second):
        assert (reply.http_status, reply.fields["Code"]) == (400, "InvalidTimeStamp.Expired")


@pytest.mark.parametrize("tampered", ["x-acs-action", "host", "body", "query"])
def test_tampering_is_noticed_under_version_3(port: int, tampered: str) -> None:
    body = b"Timeout=60"
    headers = v3_headers("InvokeCommand", INVOKE, called_name="g", body=body)
    query = urlencode(INVOKE)
    if tampered == "body":
        body = b"Timeout=61"
    elif tampered == "query":
        query += "&Timeout=61"
    else:
        headers[tampered] = "RunCommand"
    head = f"POST /?{query} HTTP/1.1\n{FORM}\nContent-Length: {len(body)}\n{head_lines(headers)}"
    reply = exchange(port, head, body)
    assert (reply.http_status, reply.fields["Code"]) == (400, "SignatureDoesNotMatch")


def test_an_absent_format_is_xml(port: int) -> None:
    reply = exchange(port, f"POST /?{v1_query('InvokeCommand', INVOKE, Format=None)} HTTP/1.1\nHost: g")
    assert reply.headers["content-type"] == "text/xml;charset=utf-8"
    root = ElementTree.fromstring(reply.body)
    assert (root.tag, root.findtext("InvokeId")) == ("InvokeCommandResponse", "t-test")


def test_version_3_asks_for_xml_by_accept(port: int) -> None:
    headers = v3_headers("InvokeCommand", {}, called_name="g", accept="application/xml")
    reply = exchange(port, f"POST / HTTP/1.1\n{head_lines(headers)}")
    assert reply.headers["content-type"] == "text/xml;charset=utf-8"
    assert ElementTree.fromstring(reply.body).findtext("Code") == "MissingCommandId"


def test_the_host_that_was_called_is_named_in_an_error(port: int) -> None:
    reply = exchange(port, "POST /?Format=JSON&Signature=x HTTP/1.1\nHost: ecs.example:99")
    assert reply.fields["HostId"] == "ecs.example:99"


def test_one_connection_serves_many_requests(port: int) -> None:
    with connection_to(port) as connection:
        for _ in range(3):
            query = v1_query("InvokeCommand", INVOKE)
            connection.sendall(f"POST /?{query} HTTP/1.1\r\nHost: g\r\n\r\n".encode())
            assert read_reply(connection).http_status == 200


def test_head_gets_no_body(port: int) -> None:
    with connection_to(port) as connection:
        connection.sendall(b"HEAD /?Format=JSON HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 403")
    assert received.endswith(b"\r\n\r\n")


def test_a_client_that_ends_its_side_after_the_request_gets_its_reply(port: int) -> None:
    with connection_to(port) as connection:
        head = f"GET /?{v1_query('InvokeCommand', INVOKE, method='GET', Format='json')} HTTP/1.1\r\nHost: g\r\n\r\n"
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        assert read_reply(connection).fields["InvokeId"] == "t-test"
        assert connection.recv(1) == b"", "and the gateway ends the connection"


def test_who_ends_its_side_is_not_waited_for_without_end(
    gateway: GatewayServer, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HALF_CLOSED_SECONDS", 0.3)
    with connection_to(port) as connection:
        asked = v1_query("DescribeInvocationResults", {"InvokeId": "t-1", "WaitSeconds": "30"}, method="GET")
        connection.sendall(f"GET /?{asked} HTTP/1.1\r\nHost: g\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    eventually(lambda: not gateway.server_state.tasks, what="nothing is done for it any more")


def test_of_a_request_that_its_client_did_not_end_nothing_is_kept(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HALF_CLOSED_SECONDS", 60.0)
    with connection_to(port) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: g\r\n{FORM}\r\nContent-Length: 10\r\n\r\nabc".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
