"""Version 3 verifies what real clients signed, and insists on what must be signed."""

import hashlib
import hmac
from dataclasses import replace

import pytest
from unit.producer.gateway.captures import (
    ASYNC_QUERY,
    RUN_COMMAND_CANONICAL_DIGEST,
    SECRET,
    V1_CAPTURES,
    V3_CAPTURES,
    V3_VECTOR,
    V3_VECTOR_CANONICAL_DIGEST,
    Capture,
)

from cloud_assistant.producer.gateway.access.percent_encoding import canonical_query, decoded_pairs
from cloud_assistant.producer.gateway.access.signature_v3 import MANDATORY_HEADERS, SignatureV3, is_v3, read_v3
from cloud_assistant.producer.gateway.api_errors import ApiError
from cloud_assistant.producer.gateway.request_parameters import assembled
from cloud_assistant.producer.gateway.serving.http_messages import HttpRequest


def read(request: HttpRequest) -> SignatureV3:
    return read_v3(request, assembled(request).query)


def with_headers(capture: Capture, **changes: str | None) -> HttpRequest:
    """The capture with some headers replaced, added, or (None) left out; ``_`` stands for ``-``."""
    headers = {name.replace("_", "-"): value for name, value in {**capture.headers, **changes}.items()}
    for name, value in changes.items():
        headers[name.replace("_", "-")] = value
    return replace(capture, headers={k: v for k, v in headers.items() if v is not None}).request()


@pytest.mark.parametrize("capture", V3_CAPTURES, ids=str)
def test_a_recorded_request_verifies(capture: Capture) -> None:
    signed = read(capture.request())
    assert is_v3(capture.request())
    assert signed.is_signed_with(SECRET)
    assert (signed.access_key_id, signed.action, signed.version) == ("testid", capture.action, "2014-05-26")


def test_the_published_vector_verifies() -> None:
    signed = read(V3_VECTOR.request())
    assert signed.string_to_sign == f"ACS3-HMAC-SHA256\n{V3_VECTOR_CANONICAL_DIGEST}"
    assert signed.is_signed_with("YourAccessKeySecret")


def test_the_canonical_request_is_the_one_the_new_sdk_computed() -> None:
    assert read(V3_CAPTURES[2].request()).string_to_sign.endswith(RUN_COMMAND_CANONICAL_DIGEST)


def test_a_query_left_raw_is_canonical_after_decoding() -> None:
    assert canonical_query(decoded_pairs(ASYNC_QUERY.encode())) == (
        "CommandId=c-1&Frequency=0%20%2A%2F10%20%2A%20%2A%20%2A%20%2A&InstanceId.1=i-1&InstanceId.2=i-2"
        "&Parameters=%7B%22name%22%3A%22Jack%20%E4%BD%A0%E5%A5%BD%20%2B%2A~%2F%20%25%26%3D%27%28%29%21%22%7D"
        "&RegionId=cn-hangzhou&Timed=False"
    )


def test_an_old_sdk_with_acs_headers_is_not_version_3() -> None:
    assert not is_v3(V1_CAPTURES[0].request())


@pytest.mark.parametrize("capture", V3_CAPTURES, ids=str)
def test_another_secret_fails(capture: Capture) -> None:
    assert not read(capture.request()).is_signed_with("other")


@pytest.mark.parametrize(
    "change",
    [
        {"x-acs-date": "2026-11-23T00:38:36Z"},
        {"x-acs-action": "DeleteCommand"},
        {"host": "127.0.0.1"},
        {"user-agent": "a proxy's own"},
        {"x-acs-signature-nonce": "other"},
    ],
)
def test_a_tampered_signed_header_fails(change: dict[str, str]) -> None:
    request = replace(V3_CAPTURES[0], headers={**V3_CAPTURES[0].headers, **change}).request()
    assert not read(request).is_signed_with(SECRET)


@pytest.mark.parametrize("method", ["GET", "PUT", "post"])
def test_a_signature_for_one_method_is_none_for_another(method: str) -> None:
    signed = V3_CAPTURES[0].request()
    assert not read(replace(signed, method=method)).is_signed_with(SECRET)


def test_a_tampered_query_fails() -> None:
    request = replace(V3_CAPTURES[0], target=V3_CAPTURES[0].target + "&Timeout=99").request()
    assert not read(request).is_signed_with(SECRET)


def test_a_body_that_is_not_the_signed_one_fails_even_under_a_right_signature() -> None:
    assert not read(replace(V3_CAPTURES[0], body="Timeout=99").request()).is_signed_with(SECRET)


def test_a_signed_digest_that_is_not_the_bodys_fails() -> None:
    headers = {**V3_CAPTURES[0].headers, "x-acs-content-sha256": "0" * 64}
    signed = read(replace(V3_CAPTURES[0], headers=headers).request())
    right = hmac.new(SECRET.encode(), signed.string_to_sign.encode(), hashlib.sha256).hexdigest()
    assert not replace(signed, signature=right).is_signed_with(SECRET)


def test_a_digest_fitted_to_a_tampered_body_fails_too() -> None:
    digest = hashlib.sha256(b"Timeout=99").hexdigest()
    headers = {**V3_CAPTURES[0].headers, "x-acs-content-sha256": digest}
    assert not read(replace(V3_CAPTURES[0], body="Timeout=99", headers=headers).request()).is_signed_with(SECRET)


def test_an_unsigned_header_may_be_added_on_the_way() -> None:
    request = with_headers(V3_CAPTURES[0], content_type="application/octet-stream", via="1.1 proxy")
    assert read(request).is_signed_with(SECRET)


def test_spaces_after_the_commas_are_accepted() -> None:
    authorization = V3_CAPTURES[0].headers["authorization"].replace(",", ", ")
    assert read(with_headers(V3_CAPTURES[0], authorization=authorization)).is_signed_with(SECRET)


@pytest.mark.parametrize(
    "name",
    ["host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"],
)
def test_a_mandatory_header_that_is_not_signed_is_refused(name: str) -> None:
    capture = V3_VECTOR
    names = [n for n in capture.headers if n != "authorization" and n != name]
    authorization = f"ACS3-HMAC-SHA256 Credential=k,SignedHeaders={';'.join(sorted(names))},Signature=" + "0" * 64
    with pytest.raises(ApiError) as caught:
        read(with_headers(capture, authorization=authorization))
    assert (caught.value.code, caught.value.http_status) == ("IncompleteSignature", 400)
    assert name in caught.value.message


@pytest.mark.parametrize("name", ["host", "x_acs_date", "accept"])
def test_a_signed_header_that_is_missing_is_refused(name: str) -> None:
    with pytest.raises(ApiError, match="IncompleteSignature"):
        read(with_headers(V3_CAPTURES[0], **{name: None}))


@pytest.mark.parametrize("name", MANDATORY_HEADERS)
def test_a_mandatory_header_that_is_neither_there_nor_signed_is_refused(name: str) -> None:
    names = ";".join(one for one in V3_VECTOR.headers if one != name)
    authorization = f"ACS3-HMAC-SHA256 Credential=k,SignedHeaders={names},Signature=0"
    with pytest.raises(ApiError, match=f"The header {name} belongs to the signature and is missing"):
        read(with_headers(V3_VECTOR, authorization=authorization, **{name.replace("-", "_"): None}))


def test_any_further_acs_header_must_be_signed() -> None:
    with pytest.raises(ApiError, match="x-acs-security-token"):
        read(with_headers(V3_CAPTURES[0], x_acs_security_token="token"))


def test_the_token_of_temporary_credentials_is_read_where_it_is_signed() -> None:
    assert read(V3_VECTOR.request()).security_token == ""
    names = ";".join([*V3_VECTOR.headers, "x-acs-security-token"])
    authorization = f"ACS3-HMAC-SHA256 Credential=k,SignedHeaders={names},Signature=0"
    request = with_headers(V3_VECTOR, authorization=authorization, x_acs_security_token="a token")
    assert read(request).security_token == "a token"


@pytest.mark.timeout(15)
def test_a_head_full_of_signed_headers_is_read_in_a_moment() -> None:
    """Compared each with each, these would take minutes, for a stranger's request."""
    more = {f"x_acs_{number}": "v" for number in range(100_000)}
    names = ";".join([*V3_VECTOR.headers, *(name.replace("_", "-") for name in more)])
    authorization = f"ACS3-HMAC-SHA256 Credential=k,SignedHeaders={names},Signature=0"
    assert len(read(with_headers(V3_VECTOR, authorization=authorization, **more)).signed_names) > 100_000


def test_a_header_that_is_signed_twice_is_refused_before_its_value_is_written_twice() -> None:
    """With a long value and a hundred thousand repetitions, a request of 1 MB took all the memory there is."""
    names = ";".join([*V3_VECTOR.headers, *["accept"] * 100_000])
    authorization = f"ACS3-HMAC-SHA256 Credential=k,SignedHeaders={names},Signature=0"
    with pytest.raises(ApiError, match="The header accept stands more than once among the signed headers"):
        read(with_headers(V3_VECTOR, authorization=authorization, accept="x"))


@pytest.mark.parametrize("is_there", [True, False])
def test_a_long_name_is_not_repeated_in_full_in_an_error(is_there: bool) -> None:
    name = "x-acs-" + "x" * 1000
    names = ";".join([*V3_VECTOR.headers, *([] if is_there else [name])])
    authorization = f"ACS3-HMAC-SHA256 Credential=k,SignedHeaders={names},Signature=0"
    request = with_headers(V3_VECTOR, authorization=authorization, **({name: "v"} if is_there else {}))
    with pytest.raises(ApiError) as caught:
        read(request)
    assert len(caught.value.message) < 250
    assert f"The header {name[:64]} " in caught.value.message


@pytest.mark.parametrize(("name", "value"), [(b"x-acs-action", b"DeleteCommand"), (b"host", b"another")])
def test_a_header_of_the_signature_that_is_sent_twice_is_refused(name: bytes, value: bytes) -> None:
    request = V3_CAPTURES[0].request()
    twice = replace(request, headers=[*request.headers, (name, value)])
    with pytest.raises(ApiError, match=f"{name.decode()} occurs more than once"):
        read(twice)


def test_the_values_of_a_header_that_is_sent_twice_are_signed_in_their_order_and_without_spaces() -> None:
    def signed(*values: bytes) -> str:
        names = ";".join([*V3_VECTOR.headers, "accept"])
        request = with_headers(
            V3_VECTOR, authorization=f"ACS3-HMAC-SHA256 Credential=k,SignedHeaders={names},Signature=0"
        )
        return read(replace(request, headers=[*request.headers, *((b"accept", one) for one in values)])).string_to_sign

    assert signed(b" b", b"a ") == signed(b"a", b"b") == signed(b"a,b") != signed(b"b,a")


@pytest.mark.parametrize("algorithm", ["ACS3-HMAC-SM3", "ACS3-RSA-SHA256"])
def test_an_exotic_algorithm_is_refused_as_such(algorithm: str) -> None:
    authorization = V3_CAPTURES[0].headers["authorization"].replace("ACS3-HMAC-SHA256", algorithm)
    with pytest.raises(ApiError, match="InvalidSignatureMethod"):
        read(with_headers(V3_CAPTURES[0], authorization=authorization))


@pytest.mark.parametrize(
    "authorization",
    [
        "ACS3-HMAC-SHA256",
        "ACS3-HMAC-SHA256 ",
        "ACS3-HMAC-SHA256 Credential=testid",
        "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=,Signature=00",
        "ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=00",
        "ACS3-HMAC-SHA256 SignedHeaders=host,Credential=testid,Signature=00",
        "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=host,Signature=00 trailing",
        "acs3-hmac-sha256 Credential=testid,SignedHeaders=host,Signature=00",
    ],
)
def test_a_malformed_header_is_refused(authorization: str) -> None:
    with pytest.raises(ApiError, match="IncompleteSignature"):
        read(with_headers(V3_CAPTURES[0], authorization=authorization))


def test_two_authorization_headers_are_refused() -> None:
    request = V3_CAPTURES[0].request()
    twice = [*request.headers, (b"authorization", b"ACS3-HMAC-SHA256 Credential=a,SignedHeaders=b,Signature=c")]
    with pytest.raises(ApiError, match="IncompleteSignature"):
        read(replace(request, headers=twice))


def test_an_access_key_header_that_names_another_key_is_refused() -> None:
    headers = {**V3_VECTOR.headers, "x-acs-accesskey-id": "somebody-else"}
    headers["authorization"] = headers["authorization"].replace(
        "host;x-acs-action", "host;x-acs-accesskey-id;x-acs-action"
    )
    with pytest.raises(ApiError, match="another access key"):
        read(replace(V3_VECTOR, headers=headers).request())
