"""All benchmarks, in one table."""

from benchmarks import export, memory, recording, scrape, windows
from benchmarks.command import run

run(recording.rows, export.rows, scrape.rows, memory.rows, windows.rows)
