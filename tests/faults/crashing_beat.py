"""A beat that kills itself with SIGKILL at one named point; started by the tests in place of ``assist-beat``."""

import sys

from faults.crashing_agent import arm_method

from cloud_assistant.beat import cli, dispatching, due_loop

#: name → (class, method, before or after the call).
POINTS: dict[str, tuple[type, str, str]] = {
    "before the decision": (due_loop.DueLoop, "_decide", "before"),
    "after the decision": (due_loop.DueLoop, "_decide", "after"),
    "between two parts": (dispatching.Dispatches, "_continue", "before"),
}

if __name__ == "__main__":
    arm_method(*POINTS[sys.argv.pop(1)])
    cli.main()
