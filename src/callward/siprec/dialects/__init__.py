"""The dialects of the field: which one a message speaks (`detection`), and what only that one says (`hints` and a module per vendor)."""
