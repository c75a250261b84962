#!/bin/sh
# Starts the agent with the interpreter of this bundle and with nothing of the machine's own Python.
here=$(readlink -f -- "$0") || exit 1
root=${here%/bin/*}
exec "$root/lib/python/bin/python3" -I -S -B "$root/lib/assist_agent.py" "$@"
