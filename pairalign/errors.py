"""The base of every error that is the user's to mend. Command line and page show its message, never a traceback."""


class PairAlignError(ValueError):
    """Input or a request that cannot be used; the message says what is wrong, what is allowed and what to do."""


class AudioError(PairAlignError):
    """A recording cannot be used. The message says what is wrong, what is allowed and what to do."""
