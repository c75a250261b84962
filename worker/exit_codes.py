"""What the exit code of an agent tells whoever started it."""

#: A setting is wrong, which no further start would fix: service managers do not start the agent again.
EXIT_USAGE = 2
#: The gateway cannot be reached.
EXIT_UNREACHABLE = 3
#: It was refused: another agent has this home or this instance id, for one.
EXIT_REFUSED = 4
#: ``assist-agent status``: no agent is running.
EXIT_NOT_RUNNING = 5
#: Start me again; scripts go on meanwhile.
EXIT_RESTART = 75
