"""Delivery: policies as values."""
