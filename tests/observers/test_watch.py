"""What is put together for a command, and what isn't even loaded."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from ipsync.core.configured import Config
from ipsync.observers import watch
with watch.worker(Config("acme", (), (), None, listen=None), again="") as watched:
    assert (tuple(watched.observers), watched.url) == ((), "")
    watched.began()
    watched.waits(None)
print(sorted({m.split(".")[0] for m in sys.modules} & {"waitress", "prometheus_client", "jinja2"}))
"""


def test_a_worker_that_serves_nothing_loads_nothing_for_it():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
