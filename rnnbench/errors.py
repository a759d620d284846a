"""What a user can set right: reported as one message, without a traceback."""


class UserError(Exception):
    """Bad input: the message says what was expected, what came and what is allowed."""

    exit_code = 2


class DivergedError(UserError):
    """A run's loss became NaN or infinite; everything recorded until then is kept."""

    exit_code = 3
