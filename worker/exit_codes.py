"""What the exit code of an agent tells whoever started it."""

#: A setting is wrong, which no further start would mend: service managers do not start the agent again.
EXIT_USAGE = 2
#: Another agent has this home or this instance id.
EXIT_REFUSED = 4
#: Start me again; scripts go on meanwhile.
EXIT_RESTART = 75
