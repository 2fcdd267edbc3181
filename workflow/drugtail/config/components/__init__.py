"""Settings of the components that recipes combine, one module per kind.

Nothing heavy is imported, so that a workflow can validate every recipe in milliseconds. The module
of the same name in `drugtail.methods` holds the functions.
"""
