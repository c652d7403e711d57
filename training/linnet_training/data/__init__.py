"""Recordings, prepared and cut for training."""
