"""How weights are stored, and a voice as bytes."""
