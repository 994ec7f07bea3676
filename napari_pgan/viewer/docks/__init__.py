"""The docks: one folder per dock, one file per box."""
