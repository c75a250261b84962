"""Tokens of pages are good for whom they were given to, and cannot be made up."""

import base64

import pytest

from cloud_assistant.producer.gateway.api_errors import ApiError
from cloud_assistant.producer.gateway.page_tokens import sealed_token, unsealed_token
from cloud_assistant.producer.security.caller import AccessKey

ALICE = AccessKey("a", "secret", active=True, principal="alice")
BOB = AccessKey("b", "other", active=True, principal="bob")


def test_a_token_comes_back_as_it_was() -> None:
    assert unsealed_token(sealed_token("1234 t-abc", ALICE), ALICE) == "1234 t-abc"
    assert sealed_token("", ALICE) == unsealed_token("", ALICE) == ""


def test_a_token_tells_nothing_of_the_place_that_it_goes_on_from() -> None:
    # The place counts what a limited key may not see.
    token = sealed_token("1234 t-abc", ALICE)
    assert b"t-abc" not in base64.urlsafe_b64decode(token)
    assert sealed_token("1234 t-abc", ALICE) != token


@pytest.mark.parametrize(
    "token",
    [
        sealed_token("1234 t-abc", BOB),
        sealed_token("1234 t-abc", AccessKey("a", "replaced", active=True, principal="alice")),
        sealed_token("1234 t-abc", AccessKey("a", "secret", active=True, principal="bob")),
        sealed_token("1234 t-abc", ALICE)[:-4],
        base64.urlsafe_b64encode(b"x" * 9 + b"1234 t-abc").decode(),
        "no base 64",
        "ü",
        "A" * 5000,
    ],
    ids=["another key", "another secret", "another name", "cut", "made up", "no base 64", "no ASCII", "long"],
)
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(ApiError) as caught:
        unsealed_token(token, ALICE)
    assert caught.value.code == "InvalidParameter.NextToken"
