"""Ours over HTTP: `synth serve`, and one client with one connection that it keeps."""

import http.client
import json
import re
import subprocess
import time


class Service:
    """A server and a sandbox in it; both end with the `with` block."""

    def __init__(self, program, folder):
        words = [program, "serve", "--listen", "127.0.0.1:0", "--slots", "2"]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=folder)
        for line in self.process.stderr:
            if found := re.search(r"http://([\d.]+):(\d+)", line):
                break
        else:
            raise RuntimeError("`synth serve` ended before it served")
        self.connection = http.client.HTTPConnection(found[1], int(found[2]))
        self.sandbox = self.post("/v1/sandboxes", {})["id"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.process.terminate()
        self.process.wait(timeout=60)

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        with self.connection.getresponse() as response:
            answer = json.load(response)
            if response.status >= 300:
                raise RuntimeError(f"{path}: {response.status}: {answer}")
        return answer

    def cells(self, times):
        """Milliseconds of each of so many cells `1+1`."""
        taken = []
        for _ in range(times):
            begun = time.perf_counter()
            assert self.post(f"/v1/sandboxes/{self.sandbox}/execute", {"code": "1+1"})["value"] == "2"
            taken.append(1e3 * (time.perf_counter() - begun))
        return taken
