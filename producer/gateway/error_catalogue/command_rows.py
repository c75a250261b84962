"""Errors of stored commands: their name, content, parameters, and the rules for running them."""

from collections.abc import Mapping

from .row import ErrorRow

_NAME = "A name has 1 to 128 characters."
_DESCRIPTION = "A description has at most 512 characters."
_CONTENT = "Make the script shorter, or send it as a file and run that."
_ENCODING = "Send Base64 text, or ContentEncoding=PlainText with the script as it is."
_TIMEOUT = "Give a timeout in whole seconds within the limit."
_LAUNCHER = "A launcher has at most 1 KB."
_WORKING_DIR = "Give an absolute path of at most 200 characters."
_PARAMETER_NAMES = "Parameter names have 1 to 64 letters, digits, - or _."
_PRINTABLE = "Remove control characters from it."
_TYPE = "Use RunShellScript, RunBatScript or RunPowerShellScript."
_PARAMETERS_OBJECT = 'Send one JSON object of strings, such as {"name": "Jack"}.'
_KNOWN_PARAMETERS = "DescribeCommands shows the command's parameter names."

ROWS: Mapping[str, ErrorRow] = {
    "CmdName.ExceedLimit": ErrorRow(403, "The command's name is too long.", _NAME),
    "CmdName.Readonly": ErrorRow(403, "A published command cannot be renamed.", "Make a command of your own."),
    "CmdDesc.ExceedLimit": ErrorRow(403, "The command's description is too long.", _DESCRIPTION),
    "CmdContent.ExceedLimit": ErrorRow(403, "The command's content is too long.", _CONTENT),
    "CmdContent.DecodeError": ErrorRow(400, "The command's content is not Base64.", _ENCODING),
    "Invalid.CommandContent": ErrorRow(400, "The command's content is not valid.", _ENCODING),
    "CmdCount.ExceedQuota": ErrorRow(403, "There are too many commands.", "Delete commands that nobody uses."),
    "InvalidTimeout.ExceedLimit": ErrorRow(403, "The timeout is too long.", _TIMEOUT),
    "InvalidLauncher.LengthLimitExceeded": ErrorRow(403, "The launcher is too long.", _LAUNCHER),
    "InvalidParameterCharacter.CommandName": ErrorRow(403, "The name holds a forbidden character.", _PRINTABLE),
    "InvalidParameterCharacter.CommandDescription": ErrorRow(
        403, "The description holds a forbidden character.", _PRINTABLE
    ),
    "InvalidParameterCharacter.CommandWorkingDir": ErrorRow(
        403, "The working directory holds a forbidden character.", _PRINTABLE
    ),
    "InvalidParameter.WorkingDir": ErrorRow(400, "The working directory is not valid.", _WORKING_DIR),
    "InvalidCmdType.NotFound": ErrorRow(404, "There is no such command type.", _TYPE),
    "InvalidCommandType.NotFound": ErrorRow(404, "There is no such command type.", _TYPE),
    "InvalidCmdId.NotFound": ErrorRow(404, "There is no such command.", "DescribeCommands lists the commands."),
    "InvalidCommandId.NotFound": ErrorRow(404, "There is no such command.", "DescribeCommands lists the commands."),
    "InvalidStatus.CmdIdInUse": ErrorRow(
        403, "The command is in use.", "Stop its invocations with StopInvocation, or wait until they end."
    ),
    "InvalidName.LengthLimitExceeded": ErrorRow(403, "The name to search for is too long.", _NAME),
    "InvalidDescription.LengthLimitExceeded": ErrorRow(403, "The description to search for is too long.", _DESCRIPTION),
    # parameters that a command defines
    "CmdParam.EmptyKey": ErrorRow(400, "A parameter in the content has no name.", _PARAMETER_NAMES),
    "CmdParam.InvalidParamName": ErrorRow(400, "A parameter name in the content is not valid.", _PARAMETER_NAMES),
    "CmdParamName.ExceedLimit": ErrorRow(403, "A parameter name in the content is too long.", _PARAMETER_NAMES),
    "CmdParamCount.ExceedLimit": ErrorRow(403, "The content has too many parameters.", "20 are allowed."),
    # parameters that a run passes
    "Parameter.Disabled": ErrorRow(
        400, "The command takes no parameters.", "Leave Parameters out, or create it with EnableParameter=true."
    ),
    "Parameter.MissingValue": ErrorRow(400, "A required parameter has no value.", _KNOWN_PARAMETERS),
    "InvalidParameter.Parameters": ErrorRow(400, "The parameters are not a JSON object.", _PARAMETERS_OBJECT),
    "ParameterCount.ExceedLimit": ErrorRow(403, "There are too many parameters.", "10 are allowed."),
    "ParameterKey.ExceedLimit": ErrorRow(403, "A parameter's name is too long.", _PARAMETER_NAMES),
    "ParameterKey.Duplicate": ErrorRow(403, "A parameter is given more than once.", "Give each parameter once."),
    "Parameter.NotMatched": ErrorRow(403, "The command has no such parameter.", _KNOWN_PARAMETERS),
    "ParameterType.NotSupported": ErrorRow(403, "A parameter's value is not a string.", _PARAMETERS_OBJECT),
    "InvalidParameterCharset.Parameters": ErrorRow(403, "A parameter's value holds a forbidden character.", _PRINTABLE),
}
