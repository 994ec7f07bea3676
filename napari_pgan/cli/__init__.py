"""One file per command; each turns its options into a function call."""
