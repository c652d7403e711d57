"""Measures of trained voices, and studies that compare them."""
