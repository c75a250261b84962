"""Wait for an invocation and follow it: announcements of Redis, and what this process knows already."""
