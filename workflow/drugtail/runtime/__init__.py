"""Files, digests, seeds, devices and provenance, for every stage."""
