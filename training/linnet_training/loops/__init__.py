"""Training loops, what they log, and where they begin."""
