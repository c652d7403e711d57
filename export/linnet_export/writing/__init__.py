"""Stores weights, and writes a voice as bytes."""
