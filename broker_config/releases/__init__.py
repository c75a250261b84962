"""What instances are to run besides scripts: versions of the agent and packages, who made them, and when they come."""
