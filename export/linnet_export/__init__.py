"""From pruned checkpoints to `.linnet` files."""
