"""Kinds of networks: one module each."""
