"""The functions that run inside Redis, and the only way to change state there.

One ``.lua`` file is one atomic change; one typed Python function here calls it. They are loaded as a Redis function
library, not as EVAL scripts: the library survives a restart of Redis with the data, is replicated with it, and an
agent's Redis user needs leave for FCALL alone, never for running Lua of its own. What no agent needs refuses agents.
"""
