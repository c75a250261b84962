"""Why is this agent not online: look at everything between this machine and its work, and say how to fix it."""
