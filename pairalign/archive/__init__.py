"""Archives of recordings, searched by edit distance."""
