"""Threads that come and go, which the HTTP client's memory allocator does not survive by itself."""

from __future__ import annotations

import subprocess
import sys

THREADS = """
import threading

def use():
    from distil_sql.models.http import HttpClient
    HttpClient({}, 1.0)

for _ in range(20):
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
print("fine")
"""


def test_clients_may_be_made_in_threads_that_end() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
