"""The orthogonal components that recipes combine."""
