"""What runs because a machine was started: once for each start, whatever restarts the agent."""
