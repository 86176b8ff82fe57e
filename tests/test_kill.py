"""A program that is killed at any time loses nothing, repeats only what it must, and tells the truth in the end.

`python -m benchmarks.kill` is a longer run of it.
"""

import os
import random
from pathlib import Path

import pytest

from ordeal import undergo  # isort: skip
from ordeal_laws import LAWS  # isort: skip

KILLS = 25
SEED = "KAILASH_MONITOR_KILL_SEED"
"""To see a failure again, as far as a race can be seen again."""


@pytest.mark.real_time
async def test_however_often_the_program_is_killed_nothing_is_lost_repeated_in_vain_or_out_of_order(tmp_path: Path) -> None:
    seed = os.environ.get(SEED) or str(random.SystemRandom().randrange(1_000_000))
    print(f"{SEED}={seed}")
    it = await undergo(KILLS, seed, tmp_path)
    assert {law.__name__: found for law in LAWS if (found := list(law(it)))} == {}
    assert it.exits.count(-9) == KILLS
    assert it.hits  # else they were aimed badly
