"""The web interface. It imports :mod:`pairalign`; the library never imports it."""
