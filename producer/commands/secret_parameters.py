"""Check the secret parameters of a request. Their values go on to the envelope of each instance, and nowhere else."""

from collections.abc import Mapping, Sequence

from ...broker_config.errors import Refused, RequestInvalid
from ...broker_config.programs.counted import counted
from ...broker_config.records import Command
from . import script_parameters

#: Masking a shorter value would make ordinary output unreadable, and say more by its places than it hides.
VALUE_BYTES_MIN = 4
#: Room for a private key in PEM; more is a file, not a parameter.
VALUE_BYTES_MAX = 8 * 1024


class SecretValues(dict[str, str]):
    """Values by name, of which only the names are ever shown."""

    def __repr__(self) -> str:
        return f"<secret parameters {', '.join(sorted(self)) or 'none'}>"

    __str__ = __repr__


def check_declared(names: Sequence[str], in_text: Sequence[str]) -> tuple[str, ...]:
    """Check names that are declared secret; each is there once, however often it was given.

    Raises:
        RequestInvalid: a name is malformed, or is also to be filled into the text (``InvalidParameter.SecretInText``).
    """
    spelled = {one.lower() for one in in_text}
    for name in names:
        script_parameters.check_name(name)
        if script_parameters.is_built_in(name):
            raise RequestInvalid(f"{name!r} is a built-in and no secret", code="CmdParam.InvalidParamName")
        if name.lower() in spelled:
            raise RequestInvalid(
                f"{{{{{name}}}}} would put a secret into the script's text, where it is stored and shown; use the "
                f"environment variable {script_parameters.variable_of(name)} in the script instead",
                code="InvalidParameter.SecretInText",
            )
    return tuple({name.lower(): name for name in names}.values())


def check_values(command: Command, values: Mapping[str, str], others: Mapping[str, str]) -> SecretValues:
    """Match values with the secret parameters of a command; the result is spelled as the command spells it.

    Raises:
        RequestInvalid, Refused: a value is missing, too short, too long, or given for a parameter that is no secret, or
            a secret was given as an ordinary parameter. No message holds a value.
    """
    refuse_in_clear(command, others)
    given = check_known(command, values)
    missing = [name for name in command.secret_names if name not in given]
    if missing:
        raise RequestInvalid(
            f"the secret parameter {missing[0]!r} has no value; give it with --secret-parameter {missing[0]}=-",
            code="InvalidParameter.SecretMissing",
        )
    script_parameters.check_variables((*command.parameter_names, *command.secret_names), command.secret_names)
    return given


def check_known(command: Command, values: Mapping[str, str]) -> SecretValues:
    """Match values with secret parameters of a command, of which others may be left out; spelled as it spells them.

    Raises:
        RequestInvalid, Refused: a value is too short, too long, or given for a parameter that is no secret. No message
            holds a value.
    """
    spelled = {name.lower(): name for name in command.secret_names}
    given = SecretValues()
    for name, value in values.items():
        if name.lower() not in spelled:
            known = ", ".join(command.secret_names) or "none"
            raise Refused(f"the command has no secret parameter {name!r}; it has: {known}", code="Parameter.NotMatched")
        given[spelled[name.lower()]] = _checked(name, value)
    return given


def refuse_in_clear(command: Command, others: Mapping[str, str]) -> None:
    """Refuse a secret of a command among ordinary values.

    Raises:
        RequestInvalid: with the remedy (``InvalidParameter.SecretInClear``).
    """
    secret = {name.lower() for name in command.secret_names}
    for name in others:
        if name.lower() in secret:
            raise RequestInvalid(
                f"parameter {name!r} is a secret: give it with --secret-parameter, which shows and stores it nowhere",
                code="InvalidParameter.SecretInClear",
            )


def _checked(name: str, value: str) -> str:
    size_bytes = len(value.encode("utf-8", "surrogatepass"))
    if not VALUE_BYTES_MIN <= size_bytes <= VALUE_BYTES_MAX:
        raise RequestInvalid(
            f"the secret parameter {name!r} has {counted(size_bytes, 'byte')}; from {VALUE_BYTES_MIN} (a shorter one "
            f"cannot be masked in output) to {VALUE_BYTES_MAX} are allowed",
            code="InvalidParameter.SecretLength",
        )
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise RequestInvalid(
            f"the secret parameter {name!r} is not UTF-8; encode it, in Base64 for instance",
            code="InvalidParameterCharset.Parameters",
        ) from exc
    if "\0" in value:
        raise RequestInvalid(f"the secret parameter {name!r} holds a NUL", code="InvalidParameterCharset.Parameters")
    return value
