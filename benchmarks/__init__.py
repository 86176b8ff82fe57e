"""Benchmarks: what this project costs, beside its peers, in one process and one table.

    python -m benchmarks                  # all of it
    python -m benchmarks.recording        # or .export, .scrape, .memory, .windows, .alerting, …_groups, …_lateness alone
    python -m benchmarks.delivery         # or .kill: what is told, and what survives
    python -m benchmarks.promql           # expressions, beside a Prometheus of this machine
    python -m benchmarks --smoke          # does it run at all

The peers come from the `bench` extra. In every round each contestant has its turn, so that a machine's drifts hit all alike,
and the best of the rounds counts. Only the servers of `scrape` are processes of their own, for a reason told there. Ratios
are to be believed; absolute figures depend on the machine.
"""
