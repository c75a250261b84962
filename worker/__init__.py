"""The agent: runs on every instance, executes scripts, reports results."""
