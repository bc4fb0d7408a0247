"""An archive of token strings on disk, and the exact search in it."""
