"""What the families build voices with."""
