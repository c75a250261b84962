"""Serve HTTP: connections, TLS, requests within limits of size and time, replies. Knows nothing of the API."""
