"""Times of building, compiling, solving, verifying and reporting apart; run by hand, never asserted."""
