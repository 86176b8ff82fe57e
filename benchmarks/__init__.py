"""Benchmarks: what recording costs, beside the peers, in one run."""
