"""Everything that is read from YAML, and nothing heavy: neither PyTorch nor RDKit."""
