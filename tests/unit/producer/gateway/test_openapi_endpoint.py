"""From a request to a reply: what is checked, in which order, and how it is told."""

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from unit.producer.gateway.doubles import KeysInMemory, NoncesInMemory, ReadersOnlyDescribe
from unit.producer.gateway.signing import now_text, v1_parameters, v1_query, v3_headers

from cloud_assistant.producer.gateway.access.authentication import Authenticator, time_of
from cloud_assistant.producer.gateway.actions.action import ActionRegistry, Call, Fields, NotYet
from cloud_assistant.producer.gateway.api_errors import api_error
from cloud_assistant.producer.gateway.exchange import Exchange
from cloud_assistant.producer.gateway.openapi_endpoint import OpenApiEndpoint, Postponed
from cloud_assistant.producer.gateway.serving.http_messages import HttpReply, HttpRequest

FORM = [(b"content-type", b"application/x-www-form-urlencoded")]


def echo(call: Call) -> Fields:
    return {"Asked": call.parameters.business_values, "By": call.caller.principal, "Id": call.request_id}


def refuse(call: Call) -> Fields:
    raise api_error("InvalidCmdId.NotFound", f"There is no command {call.parameters.required('CommandId')}.")


def countdown(call: Call) -> Fields | NotYet:
    left = call.parameters.integer("Left", 0)

    def look(left: int) -> Fields | NotYet:
        if left == 0:
            return {"Left": 0}
        if left < 0:
            raise api_error("InvalidInvokeId.NotFound")
        return NotYet({"Left": left}, lambda: look(left - 1), pause_ms=10)

    return look(left)


@pytest.fixture
def endpoint() -> OpenApiEndpoint:
    actions = ActionRegistry({"CreateEcho": echo, "DeleteCommand": refuse, "DescribeCountdown": countdown})
    authenticator = Authenticator(KeysInMemory(), NoncesInMemory(), lambda: time_of(now_text()))
    return OpenApiEndpoint(actions, authenticator, ReadersOnlyDescribe())


def post(query: str = "", body: str = "", headers: list[tuple[bytes, bytes]] | None = None) -> Exchange:
    return Exchange(HttpRequest("POST", "/", query.encode(), headers or [], body.encode()))


def final(outcome: HttpReply | Postponed) -> HttpReply:
    assert isinstance(outcome, HttpReply)
    return outcome


def test_a_signed_request_reaches_its_action(endpoint: OpenApiEndpoint) -> None:
    exchange = post(v1_query("CreateEcho", {"Name": "你 +*~/", "TimeOut": "60"}))
    reply = final(endpoint.answer(exchange))
    assert reply.http_status == 200
    assert json.loads(reply.body) == {
        "Asked": {"Name": "你 +*~/", "TimeOut": "60", "Timeout": "60"},
        "By": "tester",
        "Id": exchange.request_id,
        "RequestId": exchange.request_id,
    }
    assert (exchange.action, exchange.access_key_id, exchange.code) == ("CreateEcho", "testid", "OK")


def test_a_request_wholly_in_the_form_reaches_its_action(endpoint: OpenApiEndpoint) -> None:
    exchange = post(body=urlencode(v1_parameters("CreateEcho", {"Name": "a b"})), headers=FORM)
    assert json.loads(final(endpoint.answer(exchange)).body)["Asked"] == {"Name": "a b"}


def test_a_get_is_signed_as_get(endpoint: OpenApiEndpoint) -> None:
    request = HttpRequest("GET", "/", v1_query("CreateEcho", method="GET").encode(), [], b"")
    assert final(endpoint.answer(Exchange(request))).http_status == 200


def test_version_3_takes_the_action_from_the_header_and_form_parameters_count(endpoint: OpenApiEndpoint) -> None:
    body = urlencode({"Name": "form"})
    headers = v3_headers("CreateEcho", {"Name": "query", "Type": "T"}, called_name="h", body=body.encode())
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    exchange = post(urlencode({"Name": "query", "Type": "T"}), body, [*pairs, *FORM])
    assert json.loads(final(endpoint.answer(exchange)).body)["Asked"] == {"Name": "form", "Type": "T"}


def test_each_request_has_an_id_of_its_own_in_upper_case() -> None:
    first, second = post().request_id, post().request_id
    assert first != second
    assert first == first.upper()
    assert len(first) == 36


@pytest.mark.parametrize(
    ("make", "code", "http_status"),
    [
        (post, "MissingParameter", 400),
        (lambda: post(v1_query("CreateEcho", Timestamp=None)), "MissingParameter", 400),
        (lambda: post("A=%ff"), "InvalidParameter", 400),
        (lambda: post(v1_query("CreateEcho", Format="YAML")), "InvalidParameter.Format", 400),
        (lambda: post(v1_query("CreateEcho", AccessKeyId="nobody")), "InvalidAccessKeyId.NotFound", 404),
        (lambda: post(v1_query("CreateEcho", AccessKeyId="disabled")), "InvalidAccessKeyId.Inactive", 400),
        (lambda: post(v1_query("CreateEcho", Timestamp=now_text(960))), "InvalidTimeStamp.Expired", 400),
        (lambda: post(v1_query("CreateEcho", secret="wrong")), "SignatureDoesNotMatch", 400),
        (lambda: post(v1_query("CreateEcho") + "&Extra=1"), "SignatureDoesNotMatch", 400),
        (lambda: post(v1_query("CreateEcho", method="GET")), "SignatureDoesNotMatch", 400),
        (lambda: post(v1_query("createecho")), "InvalidAction.NotFound", 404),
        (lambda: post(v1_query("StartTerminalSession")), "InvalidAction.NotFound", 404),
        (lambda: post(v1_query("CreateEcho", Version="2015-01-01")), "InvalidVersion", 400),
        (lambda: post(v1_query("CreateEcho", AccessKeyId="reader")), "Forbidden.RAM", 403),
        (lambda: post(v1_query("DeleteCommand", {"CommandId": "c-1"})), "InvalidCmdId.NotFound", 404),
        (lambda: post(v1_query("DeleteCommand")), "MissingCommandId", 400),
        (lambda: post(headers=[(b"authorization", b"Basic dDp0")]), "IncompleteSignature", 400),
        (lambda: post(headers=[(b"authorization", b"ACS3-HMAC-SHA256 x")]), "IncompleteSignature", 400),
        (lambda: post(headers=[(b"authorization", b"ACS3-RSA-SHA256 x")]), "InvalidSignatureMethod", 400),
    ],
)
def test_a_refusal_has_its_code_and_status(
    endpoint: OpenApiEndpoint, make: Callable[[], Exchange], code: str, http_status: int
) -> None:
    exchange = make()
    reply = final(endpoint.answer(exchange))
    assert reply.http_status == http_status
    assert exchange.code == code
    assert code.encode() in reply.body


def test_an_action_is_not_reached_without_the_right_to_it(endpoint: OpenApiEndpoint) -> None:
    reply = final(endpoint.answer(post(v1_query("CreateEcho", AccessKeyId="reader"))))
    assert json.loads(reply.body)["Code"] == "Forbidden.RAM"
    assert "CreateEcho" in json.loads(reply.body)["Message"]


def test_a_replayed_request_is_refused(endpoint: OpenApiEndpoint) -> None:
    query = v1_query("CreateEcho")
    assert final(endpoint.answer(post(query))).http_status == 200
    replayed = post(query)
    endpoint.answer(replayed)
    assert replayed.code == "SignatureNonceUsed"


def test_an_absent_format_is_xml_for_answers_and_errors(endpoint: OpenApiEndpoint) -> None:
    good = final(endpoint.answer(post(v1_query("CreateEcho", Format=None))))
    bad = final(endpoint.answer(post(v1_query("CreateEcho", Format=None, secret="wrong"))))
    assert good.content_type == bad.content_type == "text/xml;charset=utf-8"
    assert b"<CreateEchoResponse>" in good.body
    assert b"<Error>" in bad.body


def test_an_answer_may_be_postponed_until_it_is_there(endpoint: OpenApiEndpoint) -> None:
    exchange = post(v1_query("DescribeCountdown", {"Left": "2"}))
    outcome = endpoint.answer(exchange)
    seen = []
    while isinstance(outcome, Postponed):
        assert outcome.pause_ms == 10
        seen.append(json.loads(outcome.reply_so_far().body)["Left"])
        outcome = outcome.look_again()
    assert seen == [2, 1]
    assert json.loads(outcome.body)["Left"] == 0


def test_a_postponed_answer_may_still_be_a_refusal(endpoint: OpenApiEndpoint) -> None:
    def vanish(call: Call) -> Fields | NotYet:
        return NotYet({}, lambda: refuse(call), pause_ms=1)

    authenticator = Authenticator(KeysInMemory(), NoncesInMemory(), lambda: time_of(now_text()))
    vanishing = OpenApiEndpoint(ActionRegistry({"A": vanish}), authenticator, ReadersOnlyDescribe())
    exchange = post(v1_query("A", {"CommandId": "c-9"}))
    outcome = vanishing.answer(exchange)
    assert isinstance(outcome, Postponed)
    assert final(outcome.look_again()).http_status == 404
    assert exchange.code == "InvalidCmdId.NotFound"


def test_a_mistake_of_ours_is_not_taken_for_a_refusal() -> None:
    def broken(call: Call) -> Fields:
        raise KeyError(call.action)

    authenticator = Authenticator(KeysInMemory(), NoncesInMemory(), lambda: time_of(now_text()))
    endpoint = OpenApiEndpoint(ActionRegistry({"A": broken}), authenticator, ReadersOnlyDescribe())
    with pytest.raises(KeyError):
        endpoint.answer(post(v1_query("A")))
