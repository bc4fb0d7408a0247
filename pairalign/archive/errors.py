"""What goes wrong with an archive, in words for its user."""


class ArchiveError(ValueError):
    """An archive that cannot be used as asked; the message says why and what to do."""
