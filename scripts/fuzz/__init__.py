"""Parts of scripts/fuzz_audio.py: valid files, their mutations, and the process that reads them."""
