"""Names that no file of Windows may have; the rest is in tests/windows."""

from pathlib import Path

import pytest

from cloud_assistant.broker_config.error_codes import ErrorCode
from cloud_assistant.broker_config.messages import FileOrder
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.file_delivery.windows_file import write_file


def refusal(name: str, folder: str) -> NotStarted:
    order = FileOrder(
        name=name,
        target_directory=folder,
        content=b"new",
        owner="",
        group="",
        mode="0644",
        overwrite=True,
        timeout_seconds=60,
    )
    with pytest.raises(NotStarted) as refused:
        write_file(order)
    return refused.value


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a:b",
        "a*",
        'a"',
        "a|b",
        "a\0b",
        "a\n",
        "end.",
        "end ",
        "nul",
        "COM1.txt",
        "x" * 256,
    ],
)
def test_a_name_that_windows_would_not_keep_is_refused(name: str) -> None:
    assert refusal(name, r"C:\files").error_code == ErrorCode.FILE_NAME_INVALID


@pytest.mark.parametrize("folder", ["files", r"\files", "C:files", "/files", "C:\\a\0b"])
def test_a_folder_that_depends_on_where_the_agent_is_is_refused(folder: str, tmp_path: Path) -> None:
    refused = refusal("name", folder)
    assert (refused.error_code, "not an absolute path" in refused.error_info) == (ErrorCode.FILE_PATH_INVALID, True)
