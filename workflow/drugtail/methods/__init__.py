"""The orthogonal parts that recipes combine."""
