"""The local policy: what the owner of this machine lets the control side do here."""
