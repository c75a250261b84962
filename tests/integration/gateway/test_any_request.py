"""Whatever is asked, the gateway answers in the API's form: never with a 5xx, never with a traceback."""

import json
import logging
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integration.gateway.error_cases import CASES, GOOD
from integration.gateway.whole_gateway import KEY_ID, SECRET, WholeGateway, whole_gateway
from unit.producer.gateway.signing import v1_parameters

from cloud_assistant.producer.gateway.access import refusal_audit
from cloud_assistant.producer.gateway.actions.table import action_registry
from harness.redis_server import RedisServer

ACTIONS = sorted(GOOD)
#: Names that the actions read, so that what is made up reaches them.
NAMES = sorted(
    {name for good in GOOD.values() for name in good}
    | {name for cases in CASES.values() for changed, _ in cases for name in changed if len(name) < 30}
    | {"InvokeId", "CommandId", "InstanceId", "InstanceIds", "Tag.x.Key", "WaitSeconds", "IncludeHistory", "Provider"}
    | {"IncludeOutput", "InvokeRecordStatus", "TagFilter.1.TagKey", "TagFilter.1.TagValues.1", "Connected", "Format"}
)
SCALARS = ["", "0", "1", "-1", "true", "False", "null", "[]", "{}", "[1]", '{"a":"b"}', '{"a":NaN}', "i-one", "1e9"]
ODD = [
    "<&]]>\x01",
    "9" * 18,
    "9" * 40,
    "{{",
    "{{}}",
    "a\0b",
    "\u202e",
    "\ud7ff",
    "😀" * 9,
    "../..",
    "%00",
    "\r\nX: y",
    "*",
    "**",
]
ODD += ["at(0001-01-01 00:00:00)", "rate(0s)", "0 0 0 31 2 ?", "* * * * * * 2099", "[" * 500, '{"a":' * 200, "1" * 5000]
VALUES = st.sampled_from(SCALARS + ODD) | st.text(max_size=40)
PARAMETERS = st.dictionaries(st.sampled_from(NAMES) | st.text(min_size=1, max_size=12), VALUES, max_size=6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeGateway]:
    folder = Path(tmp_path_factory.mktemp("any"))
    with (
        pytest.MonkeyPatch.context() as patched,
        RedisServer(folder / "redis") as server,
        whole_gateway(server.url(), folder) as gateway,
    ):
        # Most of what is made up is refused, and a key that is refused so often reaches no changing action any more.
        patched.setattr(refusal_audit, "KEY_COUNT", sys.maxsize)
        for instance_id in ("i-one", "i-two"):
            gateway.assistant.add_instance(instance_id)
        status, answer = gateway.call("CreateCommand", GOOD["CreateCommand"])
        assert status == 200, answer
        yield gateway


@pytest.fixture(autouse=True)
def _tracebacks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.ERROR)
    yield
    assert not [record.getMessage() for record in caplog.records if record.exc_info]


def check(status: int, body: bytes) -> None:
    assert status < 500, body
    assert b"Traceback" not in body
    if body.startswith(b"<?xml"):
        # Well formed, whatever was sent or stored.
        assert ElementTree.fromstring(body).findtext("RequestId")
    else:
        answer = json.loads(body)
        assert answer["RequestId"]
        assert status == 200 or (answer["Code"] and answer["Message"])


def test_every_action_refuses_by_name_what_it_misses(whole: WholeGateway) -> None:
    # Those of our own as well, which stand in no table of the service.
    for action in action_registry(whole.assistant):
        status, answer = whole.call(action, {})
        assert status < 500, (action, answer)
    status, answer = whole.call("UploadFilePart", {"Content": "AA=="})
    assert (status, answer["Code"]) == (400, "MissingSha256")


# Five seconds of a processor, of which a busy machine gives it less than a tenth.
@pytest.mark.timeout(240)
@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(action=st.sampled_from(ACTIONS), changed=PARAMETERS, keep=st.booleans(), form=st.sampled_from(["JSON", "XML"]))
def test_any_parameters_of_any_action(
    whole: WholeGateway, action: str, changed: dict[str, str], keep: bool, form: str
) -> None:
    wanted = {"RegionId": "local", "Format": form, **(GOOD[action] if keep else {}), **changed, "WaitSeconds": "0"}
    for name in ("Action", "Version", "AccessKeyId", "Signature", "Timestamp", "SignatureNonce"):
        wanted.pop(name, None)
    signed = v1_parameters(action, wanted, secret=SECRET, AccessKeyId=KEY_ID)
    status, body = whole.post(urlencode(signed))
    check(status, body)
    assert b"Throttling.User" not in body, "it reached no action"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changed=st.dictionaries(
        st.sampled_from(
            [
                *("Signature", "Timestamp", "SignatureNonce", "SignatureMethod", "SignatureVersion", "Version"),
                *("AccessKeyId", "SecurityToken", "Format", "Action", "SignatureType"),
            ]
        ),
        VALUES,
        min_size=1,
        max_size=4,
    ),
    headers=st.dictionaries(
        st.sampled_from(["x-acs-action", "x-acs-version", "x-acs-date", "authorization", "accept", "content-type"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)
        | st.just("ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host;x-acs-action,Signature=00"),
        max_size=4,
    ),
    body=st.binary(max_size=60),
)
def test_any_signature_headers_and_body(
    whole: WholeGateway, changed: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    form = {**v1_parameters("DescribeRegions", {}, secret=SECRET, AccessKeyId=KEY_ID), **changed}
    check(*whole.post(urlencode(form).encode() + (b"&" + body if body else b""), headers))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    registration=st.dictionaries(
        st.sampled_from(["ActivationId", "ActivationCode", "MachineId", "ClientToken", "Name", "ForceNew", "More"]),
        VALUES | st.booleans() | st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=2),
    )
    | st.lists(st.integers(), max_size=2)
    | st.text(max_size=20),
    address=VALUES,
)
def test_any_registration(whole: WholeGateway, registration: object, address: str) -> None:
    forwarded = address.encode("latin-1", "ignore").decode("latin-1").translate(dict.fromkeys((0, 10, 13)))
    check(*whole.post(json.dumps(registration), {"X-Forwarded-For": forwarded}, path="/register"))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), path=st.sampled_from(["/register", "/register/", "/files/x", "/healthz", "/%00"]))
def test_any_bytes_to_any_page(whole: WholeGateway, body: bytes, path: str) -> None:
    status, answer = whole.post(body, path=path)
    assert status < 500
    assert b"Traceback" not in answer
