"""The networks that the exporter knows. Each has a module here; `known` lists them."""
