"""The dock Prepare."""
