"""The one exception that is meant for the person at the keyboard."""


class DrugtailError(Exception):
    """Bad input or a state a person has to mend.

    The message names the file, row or key, what was found, and what to do. The command prints it
    without a traceback and exits with status 1.
    """
