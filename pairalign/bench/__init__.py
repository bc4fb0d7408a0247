"""How long things take on this machine: `python -m pairalign bench`."""
