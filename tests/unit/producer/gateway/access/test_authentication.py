"""A request is let in once, at its time, by the holder of an active key; else the first fault is told."""

from dataclasses import dataclass, replace

import pytest
from unit.producer.gateway.doubles import KeysInMemory, NoncesInMemory

from cloud_assistant.producer.gateway.access.authentication import SHOWN_CHARACTERS, Authenticator, time_of
from cloud_assistant.producer.gateway.access.signed_request import SignedRequest
from cloud_assistant.producer.gateway.api_errors import ApiError

AT_MS = 1_795_478_400_000
AT = "2026-11-24T00:00:00Z"
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Signed(SignedRequest):
    """A signed request whose signature is right or wrong by decree."""

    access_key_id: str = "testid"
    action: str = "DescribeRegions"
    version: str = "2014-05-26"
    time_text: str = AT
    nonce: str = "nonce"
    security_token: str = ""
    string_to_sign: str = "GET&%2F&A%3DB"
    right: bool = True

    def is_signed_with(self, secret: str) -> bool:
        return self.right and secret == "testsecret"


class TestAuthenticator:
    """One authenticator per test, at a fixed time."""

    nonces: NoncesInMemory
    now_ms: int
    authenticator: Authenticator

    @pytest.fixture(autouse=True)
    def _make(self) -> None:
        self.nonces = NoncesInMemory()
        self.now_ms = AT_MS
        self.authenticator = Authenticator(KeysInMemory(), self.nonces, lambda: self.now_ms)

    def refusal(self, request: Signed) -> ApiError:
        with pytest.raises(ApiError) as caught:
            self.authenticator.caller_of(request)
        return caught.value

    def test_a_right_request_gives_its_key(self) -> None:
        assert self.authenticator.caller_of(Signed()).principal == "tester"

    def test_an_unknown_key_is_404(self) -> None:
        error = self.refusal(Signed(access_key_id="nobody"))
        assert (error.code, error.http_status) == ("InvalidAccessKeyId.NotFound", 404)

    def test_a_disabled_key_is_told_apart(self) -> None:
        error = self.refusal(Signed(access_key_id="disabled"))
        assert (error.code, error.http_status) == ("InvalidAccessKeyId.Inactive", 400)

    @pytest.mark.parametrize("off_ms", [-15 * MINUTE_MS, 15 * MINUTE_MS, 0])
    def test_fifteen_minutes_off_are_tolerated(self, off_ms: int) -> None:
        self.now_ms = AT_MS + off_ms
        self.authenticator.caller_of(Signed())

    @pytest.mark.parametrize("off_ms", [-15 * MINUTE_MS - 1, 15 * MINUTE_MS + 1, 16 * MINUTE_MS])
    def test_more_than_fifteen_minutes_off_are_not(self, off_ms: int) -> None:
        self.now_ms = AT_MS + off_ms
        error = self.refusal(Signed())
        assert (error.code, error.http_status) == ("InvalidTimeStamp.Expired", 400)

    def test_the_nonce_is_used_up_once_and_remembered_for_twice_the_tolerance(self) -> None:
        self.authenticator.caller_of(Signed())
        error = self.refusal(Signed())
        assert (error.code, error.http_status) == ("SignatureNonceUsed", 400)
        assert self.nonces.remembered == {("testid", "nonce"): 1860}

    def test_another_key_may_use_the_same_nonce(self) -> None:
        self.authenticator.caller_of(Signed())
        self.authenticator.caller_of(Signed(access_key_id="reader"))

    @pytest.mark.parametrize(
        "request_", [Signed(right=False), Signed(time_text="2020-01-01T00:00:00Z"), Signed(access_key_id="nobody")]
    )
    def test_a_refused_request_uses_up_no_nonce(self, request_: Signed) -> None:
        self.refusal(request_)
        assert self.nonces.remembered == {}

    def test_an_overlong_nonce_is_refused_and_an_empty_one_is_missing(self) -> None:
        assert self.refusal(Signed(nonce="n" * 129)).code == "InvalidParameter.SignatureNonce"
        assert self.refusal(Signed(nonce="")).code == "MissingParameter"
        self.authenticator.caller_of(Signed(nonce="n" * 128))

    def test_a_wrong_signature_is_told_with_the_servers_text_after_the_only_colon(self) -> None:
        error = self.refusal(Signed(right=False))
        assert (error.code, error.http_status) == ("SignatureDoesNotMatch", 400)
        assert error.message.split(":") == [error.message.split(":", maxsplit=1)[0], "GET&%2F&A%3DB"]

    def test_a_very_long_text_is_not_repeated(self) -> None:
        longest = "x" * SHOWN_CHARACTERS
        assert self.refusal(Signed(right=False, string_to_sign=longest)).message.endswith(f":{longest}")
        message = self.refusal(Signed(right=False, string_to_sign=longest + "x")).message
        assert message.endswith(":what is not shown because it has 131073 characters, so compare a shorter request")

    def test_faults_are_told_in_the_order_key_time_signature_token_nonce(self) -> None:
        worst = Signed(time_text="2020-01-01T00:00:00Z", right=False, security_token="x", nonce="")
        timely = replace(worst, time_text=AT)
        signed = replace(timely, right=True)
        permitted = replace(signed, security_token="")
        told = [
            self.refusal(request).code
            for request in (replace(worst, access_key_id="disabled"), worst, timely, signed, permitted)
        ]
        assert told == [
            "InvalidAccessKeyId.Inactive",
            "InvalidTimeStamp.Expired",
            "SignatureDoesNotMatch",
            "InvalidSecurityToken.MismatchWithAccessKey",
            "MissingParameter",
        ]

    @pytest.mark.parametrize(
        ("token", "code"),
        [
            ("any-token", "InvalidSecurityToken.MismatchWithAccessKey"),
            ("not printable\x00", "InvalidSecurityToken.Malformed"),
            ("t" * 4097, "InvalidSecurityToken.Malformed"),
            ("ümlaut", "InvalidSecurityToken.Malformed"),
        ],
    )
    def test_a_token_of_temporary_credentials_is_refused(self, token: str, code: str) -> None:
        error = self.refusal(Signed(security_token=token))
        assert (error.code, error.http_status) == (code, 400)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-24T00:00:00",
        "2026-11-24T00:00:00.000Z",
        "2026-11-24 00:00:00Z",
        "2026-11-24T00:00:00+00:00",
        "2026-13-24T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-24T24:01:00Z",
        "0000-01-01T00:00:00Z",
        "٢٠٢٦-11-24T00:00:00Z",
        "Tue, 24 Nov 2026 00:00:00 GMT",
        "2026-11-24T00:00:00Z\n",
        "1795478400",
    ],
)
def test_any_other_way_to_write_the_time_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        time_of(text)
    assert (caught.value.code, caught.value.http_status) == ("InvalidTimeStamp.Format", 400)


def test_the_time_is_utc() -> None:
    assert time_of(AT) == AT_MS
    assert time_of("1970-01-01T00:00:01Z") == 1000


def test_a_secret_is_never_shown() -> None:
    assert "testsecret" not in repr(KeysInMemory().find("testid"))
