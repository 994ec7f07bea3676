"""One file a command; each turns its options into a call."""
