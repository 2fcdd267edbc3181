"""How classes lie in embedding space."""
