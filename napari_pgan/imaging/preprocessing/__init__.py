"""One subject through the preprocessing steps."""
