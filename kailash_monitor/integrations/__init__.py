"""Integrations: each file imports one framework or one other library, and nobody else does."""
