"""Settings of encoders, one kind per module of its name."""
