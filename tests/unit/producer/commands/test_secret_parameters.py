"""Secret parameters are checked by name, and no message and no text form of a request shows a value."""

import msgspec
import pytest

from cloud_assistant.broker_config.errors import CloudAssistantError, RequestInvalid
from cloud_assistant.broker_config.records import Command
from cloud_assistant.broker_config.settings_table import LimitSettings
from cloud_assistant.producer.commands.command_library import build_command
from cloud_assistant.producer.commands.secret_parameters import VALUE_BYTES_MAX, SecretValues
from cloud_assistant.producer.invocations.invoking import Prepared, RunOptions, prepare

VALUE = "canary-value"


def command(content: bytes = b"true", *secret: str, parameters: tuple[str, ...] = (), text: bool = False) -> Command:
    return build_command(
        LimitSettings(), name="t", type="RunShellScript", content=content, secret_parameters=secret,
        declared_parameters=parameters, enable_parameter=text,
    )  # fmt: skip


def kept_before(**fields: tuple[str, ...]) -> Command:
    """A command that an earlier release has stored, which did not look at its names."""
    return msgspec.structs.replace(command(), **fields)


def prepared(of: Command, secrets: dict[str, str], **parameters: str) -> Prepared:
    options = RunOptions(secret_parameters=secrets, parameters=parameters)
    return prepare(of, options, LimitSettings(), target_count=1, stored=False)


def test_parameters_of_every_kind_are_counted_together() -> None:
    in_text, declared, secret = (tuple(f"{kind}{number}" for number in range(7)) for kind in "tds")
    content = " ".join(f"{{{{{one}}}}}" for one in in_text).encode()
    made = command(content, *secret, parameters=declared[:6], text=True)
    assert len(made.parameter_names) + len(made.secret_names) == 20
    with pytest.raises(CloudAssistantError) as refused:
        command(content, *secret, parameters=declared, text=True)
    assert refused.value.code == "CmdParamCount.ExceedLimit"


def test_a_value_is_in_neither_record_nor_order_nor_text_form() -> None:
    made = prepared(command(b"true", "Token"), {"token": VALUE})
    assert made.secrets == {"Token": VALUE}
    assert made.invocation.secret_names == made.order.secret_names == ("Token",)
    for one in (made.invocation, made.order, made, RunOptions(secret_parameters={"token": VALUE})):
        assert VALUE not in repr(one)
    assert VALUE not in f"{SecretValues(token=VALUE)} {SecretValues(token=VALUE)!r}"


@pytest.mark.parametrize(
    ("of", "secrets", "parameters", "code"),
    [
        (command(b"true", "token"), {}, {}, "InvalidParameter.SecretMissing"),
        (command(b"true", "token"), {"token": "abc"}, {}, "InvalidParameter.SecretLength"),
        (command(b"true", "token"), {"token": "x" * (VALUE_BYTES_MAX + 1)}, {}, "InvalidParameter.SecretLength"),
        (command(b"true", "token"), {"token": VALUE + "\0"}, {}, "InvalidParameterCharset.Parameters"),
        (command(b"true", "token"), {"token": VALUE + "\udc80"}, {}, "InvalidParameterCharset.Parameters"),
        (command(b"true", "token"), {"token": VALUE, "other": VALUE}, {}, "Parameter.NotMatched"),
        (command(b"true", parameters=("token",)), {"token": VALUE}, {}, "Parameter.NotMatched"),
        (command(b"true", "token"), {}, {"token": VALUE}, "InvalidParameter.SecretInClear"),
        (command(b"true", "token"), {"token": VALUE}, {"TOKEN": VALUE}, "InvalidParameter.SecretInClear"),
        (kept_before(secret_names=("a-b", "a_b")), {"a-b": VALUE, "a_b": VALUE}, {}, "CmdParam.InvalidParamName"),
        (kept_before(secret_names=("a-b",), parameter_names=("a_b",)), {"a-b": VALUE}, {}, "CmdParam.InvalidParamName"),
    ],
)
def test_what_is_wrong_is_refused_without_the_value(
    of: Command, secrets: dict[str, str], parameters: dict[str, str], code: str
) -> None:
    with pytest.raises(CloudAssistantError) as refused:
        prepared(of, secrets, **parameters)
    assert refused.value.code == code
    assert VALUE not in str(refused.value)


@pytest.mark.parametrize("text", [b"echo {{token}}", b"echo {{ TOKEN }}"])
def test_a_secret_is_never_put_into_the_text(text: bytes) -> None:
    with pytest.raises(RequestInvalid, match="CA_PARAM_TOKEN") as refused:
        command(text, "token", text=True)
    assert refused.value.code == "InvalidParameter.SecretInText"
    # Where nothing is substituted, braces belong to the script.
    assert command(text, "token").secret_names == ("token",)


@pytest.mark.parametrize("name", ["", "a b", "acs::InstanceId", "x" * 65])
def test_a_secret_has_an_ordinary_name(name: str) -> None:
    with pytest.raises(CloudAssistantError):
        command(b"true", name)


def test_a_command_says_which_of_its_parameters_are_secret() -> None:
    made = command(b"true", "token", "Token", parameters=("who", "TOKEN"))
    assert (made.secret_names, made.parameter_names) == (("Token",), ("who",))
