"""Options and arguments that several commands share, each read into something typed."""
