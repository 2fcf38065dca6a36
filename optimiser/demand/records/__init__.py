"""A council's SSDA903 returns: code sets, files to rows, rows to placements."""
