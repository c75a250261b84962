"""Scripts on systems without supervisors: the agent's own threads watch them, a group holds what they start."""
