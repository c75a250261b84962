"""The way to Redis: its address, connections, a client, and what went wrong in words that say what to do about it."""
