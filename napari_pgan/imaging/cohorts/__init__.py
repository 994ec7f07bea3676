"""Find the files of each subject on disk; one module per layout."""
