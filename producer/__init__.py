"""The control side: takes requests, answers questions."""
