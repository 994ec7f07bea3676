"""Where the files of each subject lie: one layout a file."""
