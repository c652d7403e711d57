"""The kinds of checkpoint files. Each has a module here; `reading` lists them."""
