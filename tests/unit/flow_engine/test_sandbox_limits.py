"""A hostile scenario eats neither memory nor time: see `tests/support/hostile_scenarios.py`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from paths import REPO


@pytest.mark.parametrize("seed", [7, 8])
def test_hostile_scenarios_eat_neither_memory_nor_time(seed: int) -> None:
    worker = REPO / "tests" / "support" / "hostile_scenarios.py"
    ran = subprocess.run([sys.executable, str(worker), str(seed)], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
