"""What is raised when the user can put something right."""


class InputError(Exception):
    """One sentence that says what is wrong, in which file or value, and what to do.

    The command prints it and exits with code 2; the plugin shows it as a notification. Anything else that escapes is
    a fault of ours.
    """
