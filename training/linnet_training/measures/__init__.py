"""What trained voices are measured by, and studies."""
