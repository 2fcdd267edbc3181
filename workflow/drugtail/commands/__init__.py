"""The verbs of the command, one module per part of the work."""
