"""Training: corpora and batches (data), objectives (losses), the three stages, the loop that runs them (trainer)."""
