"""Ours: a process of crates/sandbox/benches/sandboxes.rs, which opens sandboxes as `synth` does and times them."""

import json
import subprocess

import processes


class Driver:
    """A backend that stands; it ends with its `with` block."""

    def __init__(self, program, slots, settings):
        words = [program, "--slots", str(slots)]
        for key, value in settings.items():
            words += ["--set", f"{key}={json.dumps(value)}"]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the driver ended; it says why above")
        return json.loads(line)

    def order(self, do, **fields):
        self.process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def cpu_seconds(self):
        """Of the orchestrator and of all that came of it."""
        return processes.cpu_seconds(self.process.pid)

    def members(self):
        return processes.tree(self.process.pid)
