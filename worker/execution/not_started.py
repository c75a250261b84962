"""Why a script was not started: the one exception of this package, and its codes."""

DIRECTORY_NOT_EXISTS = "DirectoryNotExists"
ACCOUNT_NOT_EXISTS = "AccountNotExists"
COMMAND_NOT_APPLICABLE = "CommandNotApplicable"
EXECUTION_EXCEPTION = "ExecutionException"
EXECUTION_INTERRUPTED = "ExecutionInterrupted"


class NotStarted(Exception):
    """Tell that no process of the script was ever started, with the API's code and a sentence for people."""

    def __init__(self, error_code: str, error_info: str) -> None:
        super().__init__(error_code, error_info)
        self.error_code = error_code
        self.error_info = error_info

    def __str__(self) -> str:
        return f"{self.error_code}: {self.error_info}"
