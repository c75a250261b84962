"""Why a file was not written, in the same words on every system."""

from ...broker_config.error_codes import ErrorCode
from ...broker_config.messages import FileOrder
from ..execution.not_started import NotStarted


def exists_already(order: FileOrder) -> NotStarted:
    """There is one of this name, and it is not to be overwritten."""
    return NotStarted(
        ErrorCode.FILE_ALREADY_EXISTS,
        f"{order.name!r} exists in {order.target_directory}; allow to overwrite it, or give another name",
    )


def is_folder(order: FileOrder) -> NotStarted:
    """There is a folder of this name."""
    return NotStarted(
        ErrorCode.FILE_CREATE_FAIL, f"{order.name!r} in {order.target_directory} is a folder; remove it first"
    )


def not_written(order: FileOrder, problem: OSError) -> NotStarted:
    """The system refuses."""
    return NotStarted(
        ErrorCode.FILE_CREATE_FAIL, f"cannot write {order.name!r} in {order.target_directory}: {problem.strerror}"
    )
