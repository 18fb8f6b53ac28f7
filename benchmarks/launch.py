"""Runs one command to its end and writes down what it took: python launch.py REPORT COMMAND...

A program inherits the memory peak of the process that started it, so this one is as small as a
Python can be (`-I -S`, four modules) and nothing else happens in it. Its own 8 MiB are the floor
of every figure.
"""

import json
import os
import sys
import time


def main() -> int:
    """Start the command, wait for it, and write its wall time, CPU time and memory peak."""
    report, *command = sys.argv[1:]
    began = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(pid, 0)
    took = {
        "code": os.waitstatus_to_exitcode(status),
        "wall": time.perf_counter() - began,
        # Both include the children that the command itself waited for: times summed, peaks not.
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    with open(report, "w", encoding="utf-8") as file:
        json.dump(took, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
