"""The dock Steer."""
