"""Kinds of checkpoint files: one module each."""
