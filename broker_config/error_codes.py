"""Why an execution did not end well: the closed set of codes, with the state each belongs to and what to do.

The first block is the service's own table; the second names what only this product can tell.
"""

from enum import StrEnum

from .states import ExecutionState as S


class ErrorCode(StrEnum):
    """The reason in a result, ``""`` when all is well."""

    NONE = ""
    INSTANCE_NOT_EXISTS = "InstanceNotExists"
    INSTANCE_RELEASED = "InstanceReleased"
    COMMAND_NOT_APPLICABLE = "CommandNotApplicable"
    ACCOUNT_NOT_EXISTS = "AccountNotExists"
    DIRECTORY_NOT_EXISTS = "DirectoryNotExists"
    BAD_CRON_EXPRESSION = "BadCronExpression"
    CLIENT_NOT_RUNNING = "ClientNotRunning"
    CLIENT_NOT_RESPONSE = "ClientNotResponse"
    CLIENT_IS_UPGRADING = "ClientIsUpgrading"
    CLIENT_NEED_UPGRADE = "ClientNeedUpgrade"
    DELIVERY_TIMEOUT = "DeliveryTimeout"
    EXECUTION_TIMEOUT = "ExecutionTimeout"
    EXECUTION_EXCEPTION = "ExecutionException"
    EXECUTION_INTERRUPTED = "ExecutionInterrupted"
    EXIT_CODE_NONZERO = "ExitCodeNonzero"
    TASK_CONCURRENCY_LIMIT = "TaskConcurrencyLimit"
    INVALID_ENVIRONMENT_PARAMETER = "InvalidSystemBuiltInParameter"
    FILE_CREATE_FAIL = "FileCreateFail"
    FILE_ALREADY_EXISTS = "FileAlreadyExists"
    FILE_CONTENT_INVALID = "FileContentInvalid"
    FILE_NAME_INVALID = "FileNameInvalid"
    FILE_PATH_INVALID = "FilePathInvalid"
    FILE_AUTHORITY_INVALID = "FileAuthorityInvalid"
    USER_GROUP_NOT_EXISTS = "UserGroupNotExists"

    SIGNATURE_INVALID = "SignatureInvalid"
    ENVELOPE_EXPIRED = "EnvelopeExpired"
    REFUSED_BY_LOCAL_POLICY = "RefusedByLocalPolicy"
    INSTANCE_QUARANTINED = "InstanceQuarantined"


#: The state that a code puts an execution into.
STATE_OF: dict[ErrorCode, S] = {
    ErrorCode.INSTANCE_NOT_EXISTS: S.ABORTED,
    ErrorCode.INSTANCE_RELEASED: S.ERROR,
    ErrorCode.COMMAND_NOT_APPLICABLE: S.INVALID,
    ErrorCode.ACCOUNT_NOT_EXISTS: S.INVALID,
    ErrorCode.DIRECTORY_NOT_EXISTS: S.INVALID,
    ErrorCode.BAD_CRON_EXPRESSION: S.INVALID,
    ErrorCode.CLIENT_NOT_RUNNING: S.ABORTED,
    ErrorCode.CLIENT_NOT_RESPONSE: S.ABORTED,
    ErrorCode.CLIENT_IS_UPGRADING: S.ABORTED,
    ErrorCode.CLIENT_NEED_UPGRADE: S.ABORTED,
    ErrorCode.DELIVERY_TIMEOUT: S.ABORTED,
    ErrorCode.EXECUTION_TIMEOUT: S.TIMEOUT,
    ErrorCode.EXECUTION_EXCEPTION: S.ERROR,
    ErrorCode.EXECUTION_INTERRUPTED: S.ERROR,
    ErrorCode.EXIT_CODE_NONZERO: S.FAILED,
    ErrorCode.TASK_CONCURRENCY_LIMIT: S.ABORTED,
    ErrorCode.INVALID_ENVIRONMENT_PARAMETER: S.INVALID,
    ErrorCode.FILE_CREATE_FAIL: S.FAILED,
    ErrorCode.FILE_ALREADY_EXISTS: S.FAILED,
    ErrorCode.FILE_CONTENT_INVALID: S.INVALID,
    ErrorCode.FILE_NAME_INVALID: S.INVALID,
    ErrorCode.FILE_PATH_INVALID: S.INVALID,
    ErrorCode.FILE_AUTHORITY_INVALID: S.INVALID,
    ErrorCode.USER_GROUP_NOT_EXISTS: S.INVALID,
    ErrorCode.SIGNATURE_INVALID: S.INVALID,
    ErrorCode.ENVELOPE_EXPIRED: S.INVALID,
    ErrorCode.REFUSED_BY_LOCAL_POLICY: S.INVALID,
    ErrorCode.INSTANCE_QUARANTINED: S.INVALID,
}
