"""What two processes of Cloud Assistant must agree on.

Names of keys and queues, bytes on the wire, states and their moves, the Lua that enforces them, settings, and
the dispatch of a stored invocation. No loop, no thread, no argument parsing: if only one folder would notice a
change, it belongs to that folder.
"""
