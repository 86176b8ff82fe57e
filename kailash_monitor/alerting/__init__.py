"""Alerting: decide, given readings, what is going on and who is to be told."""
