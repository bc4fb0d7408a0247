"""What goes wrong with an archive, in words for its user."""

from pairalign.errors import PairAlignError


class ArchiveError(PairAlignError):
    """An archive that cannot be used as asked; the message says why and what to do."""
