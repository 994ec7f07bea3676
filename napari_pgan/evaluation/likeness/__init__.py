"""Do generated images look like real ones? One measure a file; `likeness` takes them all, beside their floor."""
