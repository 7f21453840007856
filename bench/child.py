"""Runs one command from a small process, and prints its wall seconds, CPU seconds, peak memory and exit code.

Linux counts towards a process's peak what its parent held when it was forked: the benchmark itself, with two
clouds inside, is no small parent.
"""

import os
import subprocess
import sys
import time

began = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
_, status, usage = os.wait4(child.pid, 0)
seconds = time.perf_counter() - began
print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
