"""What a script writes: read, masked, cut at whole characters, kept within its limit."""
