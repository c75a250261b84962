"""Identity and trust on the control side: Redis users, credentials, access keys, rights, audit."""
