"""Errors of sending files."""

from collections.abc import Mapping

from .row import ErrorRow

ROWS: Mapping[str, ErrorRow] = {
    "FileTargetDir.Invalid": ErrorRow(
        400, "The target directory is not valid.", "Give an absolute path of at most 255 characters."
    ),
    "FileMode.Invalid": ErrorRow(400, "The file mode is not valid.", "Give octal digits such as 0644."),
    "FileContent.DecodeError": ErrorRow(
        400, "The file's content is not Base64.", "Send Base64 text, or ContentType=PlainText."
    ),
    "FileContentType.Invalid": ErrorRow(400, "There is no such content type.", "Use PlainText or Base64."),
    "InvalidParameter.FileOwner": ErrorRow(
        400, "The file's owner is not valid.", "Give a user name of at most 64 characters."
    ),
    "InvalidParameter.FileGroup": ErrorRow(
        400, "The file's group is not valid.", "Give a group name of at most 64 characters."
    ),
    "FileSize.ExceedLimit": ErrorRow(403, "The file is too large.", "Split it, or fetch it on the instance."),
    "FileName.ExceedLimit": ErrorRow(403, "The file's name is too long.", "Use at most 255 characters."),
    "FileDesc.ExceedLimit": ErrorRow(403, "The description is too long.", "Use at most 512 characters."),
}
