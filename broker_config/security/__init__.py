"""Keys, signatures and sealing: what makes a message, a result or a stored record believable."""
