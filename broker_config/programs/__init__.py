"""What our programs have in common: their start, command line, log, streams, and how they say things."""
