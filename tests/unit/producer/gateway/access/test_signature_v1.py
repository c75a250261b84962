"""Version 1 verifies what real clients signed, and nothing else."""

from dataclasses import replace

import pytest
from unit.producer.gateway.captures import SECRET, V1_CAPTURES, V1_VECTORS, Capture

from cloud_assistant.producer.gateway.access.signature_v1 import read_v1
from cloud_assistant.producer.gateway.api_errors import ApiError
from cloud_assistant.producer.gateway.request_parameters import assembled


@pytest.mark.parametrize("capture", V1_CAPTURES, ids=str)
def test_a_recorded_request_verifies(capture: Capture) -> None:
    signed = read_v1(capture.method, assembled(capture.request()).merged)
    assert signed.is_signed_with(SECRET)
    assert (signed.access_key_id, signed.action, signed.version) == ("testid", capture.action, "2014-05-26")


@pytest.mark.parametrize("capture", V1_CAPTURES, ids=str)
def test_a_recorded_request_fails_with_another_secret(capture: Capture) -> None:
    assert not read_v1(capture.method, assembled(capture.request()).merged).is_signed_with(SECRET + "x")


@pytest.mark.parametrize("capture", V1_CAPTURES, ids=str)
def test_a_changed_value_anywhere_breaks_the_signature(capture: Capture) -> None:
    parameters = assembled(capture.request()).merged
    for name in parameters.keys() - {"Signature", "SignatureMethod", "SignatureVersion"}:
        changed = {**parameters, name: parameters[name] + "x"}
        assert not read_v1(capture.method, changed).is_signed_with(SECRET), name


def test_another_http_method_breaks_the_signature() -> None:
    capture = V1_CAPTURES[0]
    assert not read_v1("GET", assembled(capture.request()).merged).is_signed_with(SECRET)


@pytest.mark.parametrize(("parameters", "signature"), V1_VECTORS)
def test_a_published_vector_verifies(parameters: dict[str, str], signature: str) -> None:
    assert read_v1("GET", {**parameters, "Signature": signature}).is_signed_with(SECRET)


def test_the_string_to_sign_is_the_one_the_old_sdk_computed() -> None:
    parameters = assembled(V1_CAPTURES[1].request()).merged
    assert read_v1("POST", parameters).string_to_sign == (
        "POST&%2F&AccessKeyId%3Dtestid%26Action%3DInvokeCommand%26CommandId%3Dc-hz0abc%26Format%3DJSON"
        "%26InstanceId.1%3Di-1%26InstanceId.2%3Di-2%26RegionId%3Dcn-hangzhou%26SignatureMethod%3DHMAC-SHA1"
        "%26SignatureNonce%3De2ba2c9dd74e5ecef949c5a8d4eb7ce0%26SignatureType%3D%26SignatureVersion%3D1.0"
        "%26Timed%3Dfalse%26Timestamp%3D2026-11-23T00%253A38%253A02Z%26Version%3D2014-05-26"
    )


@pytest.mark.parametrize("signature", ["é", "=", "AAAA", "A" * 27 + "é", "\x00", "not base64!"])
def test_a_signature_that_is_not_one_never_matches(signature: str) -> None:
    signed = read_v1("GET", {**V1_VECTORS[0][0], "Signature": "AAAA"})
    assert not replace(signed, signature=signature).is_signed_with(SECRET)


def test_a_signature_with_foreign_characters_in_it_is_none() -> None:
    parameters, signature = V1_VECTORS[0]
    signed = read_v1("GET", {**parameters, "Signature": f"{signature[:5]}!{signature[5:]}"})
    assert not signed.is_signed_with(SECRET)


@pytest.mark.parametrize(
    "name", ["AccessKeyId", "Signature", "SignatureMethod", "SignatureNonce", "Timestamp", "Action", "Version"]
)
@pytest.mark.parametrize("left", [None, ""])
def test_an_absent_common_parameter_is_named(name: str, left: str | None) -> None:
    parameters = {**V1_VECTORS[0][0], "Signature": V1_VECTORS[0][1]}
    del parameters[name]
    if left is not None:
        parameters[name] = left
    with pytest.raises(ApiError) as caught:
        read_v1("GET", parameters)
    assert (caught.value.code, caught.value.http_status) == ("MissingParameter", 400)
    assert name in caught.value.message


@pytest.mark.parametrize("change", [{"SignatureMethod": "SHA256withRSA"}, {"SignatureVersion": "2.0"}])
def test_another_method_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ApiError) as caught:
        read_v1("GET", {**V1_VECTORS[0][0], "Signature": "x", **change})
    assert (caught.value.code, caught.value.http_status) == ("InvalidSignatureMethod", 400)


def test_a_request_that_does_not_name_its_version_is_taken_for_the_only_one() -> None:
    given = {**V1_VECTORS[0][0], "Signature": "x"}
    given.pop("SignatureVersion", None)
    assert read_v1("GET", given).signature == "x"


def test_the_token_of_temporary_credentials_is_read_and_signed() -> None:
    given = {**V1_VECTORS[0][0], "Signature": "x"}
    without, with_token = (read_v1("GET", {**given, **more}) for more in ({}, {"SecurityToken": "a token"}))
    assert (without.security_token, with_token.security_token) == ("", "a token")
    assert without.string_to_sign != with_token.string_to_sign
