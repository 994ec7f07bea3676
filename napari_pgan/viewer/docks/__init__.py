"""The docks, one file a dock and one a box."""
