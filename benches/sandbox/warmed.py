"""The floor of any design that forks an interpreter with the stack imported: `warmed.py ROUNDS` prints a line of JSON.

The same ways of starting a child as in floor.c, but of this process: a child answers `1+1` over a pipe and is gone. The clock runs
from the fork until the answer, and until the parent has waited for the child.
"""

import ctypes
import gc
import json
import os
import platform
import signal
import sys
import time

from stack import IMPORTS

CLONE = {"x86_64": 56, "aarch64": 220}
SPACES = 0x10000000 | 0x20000000 | 0x00020000 | 0x40000000 | 0x08000000 | 0x04000000


def clone(flags):
    """A fork by system call: none of Python's own work before and after a fork is in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(CLONE[platform.machine()])
    zero = ctypes.c_long(0)
    pid = libc.syscall(number, ctypes.c_long(flags | signal.SIGCHLD), zero, zero, zero, zero)
    if pid < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return pid


def measure(start, rounds):
    answers, ends = [], []
    for _ in range(rounds):
        reader, writer = os.pipe()
        begun = time.perf_counter()
        pid = start()
        if pid == 0:
            os.write(writer, b"%d" % eval("1+1"))
            os._exit(0)
        assert os.read(reader, 8) == b"2"
        answers.append(1e3 * (time.perf_counter() - begun))
        os.waitpid(pid, 0)
        ends.append(1e3 * (time.perf_counter() - begun))
        os.close(reader)
        os.close(writer)
    return {"answer": answers, "end": ends}


def main():
    rounds = int(sys.argv[1])
    exec(IMPORTS, {})
    gc.collect()
    gc.freeze()
    figures = {"fork": measure(os.fork, rounds)}
    if platform.machine() in CLONE:
        figures["namespaces"] = measure(lambda: clone(SPACES), rounds)
    with open("/proc/self/smaps_rollup") as file:
        figures["rss_kb"] = next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
