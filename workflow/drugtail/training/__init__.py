"""Training blocks of seeds."""
