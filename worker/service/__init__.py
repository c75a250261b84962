"""The agent as a service of its machine: files for each service manager, and how each is told to start and stop it."""
