"""From published files to clean molecules and their splits."""
