"""Evaluation: measures over token strings (metrics), what is compared with what (protocols), the table (report)."""
