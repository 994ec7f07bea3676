"""From files to the store: volumes, cohorts, intensities, fields of view, preparation."""
