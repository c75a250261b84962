"""Who sent a request and what they may do: signatures, nonces, roles and scopes, and the audit of both."""
