"""The baseline: an ipykernel, driven by jupyter_client as notebooks drive it."""

import subprocess
import time

from jupyter_client.manager import KernelManager
from stack import IMPORTS


class Kernel:
    """A kernel that has been started and has the stack imported."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(stderr=subprocess.DEVNULL)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)
        self.run(IMPORTS)

    def run(self, code):
        """The value of a cell, as text."""
        values = []

        def hook(message):
            if message["msg_type"] == "execute_result":
                values.append(message["content"]["data"]["text/plain"])

        reply = self.client.execute_interactive(code, timeout=120, output_hook=hook)
        assert reply["content"]["status"] == "ok", reply["content"]
        return values[0] if values else None

    def pid(self):
        return self.manager.provisioner.pid

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def cold():
    """Milliseconds from nothing to the first `1+1` in a kernel with the stack imported."""
    begun = time.perf_counter()
    kernel = Kernel()
    assert kernel.run("1+1") == "2"
    taken = 1e3 * (time.perf_counter() - begun)
    kernel.close()
    return taken


def cells(kernel, times):
    """Milliseconds of each of so many cells `1+1`."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        assert kernel.run("1+1") == "2"
        taken.append(1e3 * (time.perf_counter() - begun))
    return taken
