"""The Steer dock."""
