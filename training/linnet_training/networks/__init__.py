"""The networks in PyTorch, and what makes their training fast."""
