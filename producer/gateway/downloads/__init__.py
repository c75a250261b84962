"""What agents download from the gateway: files that are too large for a message, and packages."""
