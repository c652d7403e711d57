"""The families build voices with these: buffers, layers, draws, tensors by role."""
