"""Behaves as the environment of a DSGym agent does: allocate, execute turn by turn, format the outputs, give the container back."""

import base64
import json
import sys
import threading
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen


class Manager:
    """An HTTP client that sends a URL's user and password as basic authentication, as httpx and requests do."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.base = f"http://{parts.hostname}:{parts.port}"
        pair = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        self.headers = {"Content-Type": "application/json", "Authorization": f"Basic {pair}"}

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self.base + path, data, self.headers, method=method), timeout=120) as answer:
            return json.load(answer)


class Tools:
    def __init__(self, manager):
        self.manager = manager
        self.container = manager.call("POST", "/allocate")["container_id"]

    def execute(self, code):
        outputs = self.manager.call("POST", f"/session/{self.container}/execute", {"code": code}).get("outputs", [])
        return "\n".join(filter(None, map(self.shown, outputs)))

    @staticmethod
    def shown(output):
        kind = output["type"]
        if kind == "result":
            return output["data"]["text/plain"]
        if kind == "error":
            return f"{output['name']}: {output['value']}\n" + "\n".join(output["traceback"])
        if kind == "stream":
            return f"[{output['name']}] {output['text']}"
        return None

    def close(self):
        self.manager.call("POST", f"/deallocate/{self.container}")


def trajectory(manager, number, failures):
    try:
        tools = Tools(manager)
        assert tools.execute("import pandas as pd\nframe = pd.DataFrame({'x': [1, 2, 3]})") == ""
        assert tools.execute(f"int(frame.x.sum()) + {number}") == str(6 + number)
        assert tools.execute("print(len(frame))") == "[stdout] 3\n"
        failed = tools.execute("frame.y")
        assert failed.startswith("AttributeError: ") and "Traceback (most recent call last)" in failed, failed
        tools.close()
    except Exception as error:
        failures.append(f"{number}: {error!r}")


manager = Manager(sys.argv[1])
assert manager.call("GET", "/health") == {"status": "ok"}
failures = []
threads = [threading.Thread(target=trajectory, args=(manager, number, failures)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
status = manager.call("GET", "/status")
assert status["allocated_container_ids"] == [] and status["available_containers"] == status["total_containers"], status
container = manager.call("POST", "/allocate?container_type=python")["container_id"]
assert manager.call("POST", "/restart")["restarted_containers"] == [container]
manager.headers["Authorization"] = "Basic " + base64.b64encode(b"agent:wrong-token-of-this").decode()
try:
    manager.call("POST", "/allocate")
    raise SystemExit("a wrong token got in")
except HTTPError as error:
    assert error.code == 401, error
