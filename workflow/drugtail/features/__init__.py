"""From molecules to arrays a model can read."""
