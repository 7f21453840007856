"""The long fault runs: what the contract promises, driven until it breaks or is worth believing.

The proofs use the same stage, builders and state machine as the tests; those live beside the tests.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT / "tests") not in sys.path:
    sys.path.insert(0, str(ROOT / "tests"))
