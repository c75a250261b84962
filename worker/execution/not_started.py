"""Why a script was not started: the one exception of this package, and its codes."""

import errno

DIRECTORY_NOT_EXISTS = "DirectoryNotExists"
ACCOUNT_NOT_EXISTS = "AccountNotExists"
COMMAND_NOT_APPLICABLE = "CommandNotApplicable"
EXECUTION_EXCEPTION = "ExecutionException"
EXECUTION_INTERRUPTED = "ExecutionInterrupted"

_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})


def remedy_for(problem: OSError, otherwise: str) -> str:
    """Say what to do about a machine's refusal; ``otherwise`` is for all but a lack of descriptors."""
    return "raise its limit of open files" if problem.errno in _NO_DESCRIPTORS else otherwise


class NotStarted(Exception):
    """Tell that no process of the script was ever started, with the API's code and a sentence for people."""

    def __init__(self, error_code: str, error_info: str) -> None:
        super().__init__(error_code, error_info)
        self.error_code = error_code
        self.error_info = error_info

    def __str__(self) -> str:
        return f"{self.error_code}: {self.error_info}"
