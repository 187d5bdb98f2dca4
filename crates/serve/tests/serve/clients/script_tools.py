"""Behaves as two users of SandboxFusion do: DARE-bench's tool, which sends and fetches files, and verl's reward, which feeds test cases."""

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.request import Request, urlopen

URL = sys.argv[1]


def post(payload):
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    with urlopen(Request(URL, json.dumps(payload).encode(), headers), timeout=120) as answer:
        return json.load(answer)


def python_executor(code, work, files_to_load, files_to_save, seconds=30):
    """One call of the tool: files travel as base64, what is saved comes back into the working folder."""
    answer = post({
        "code": code, "language": "python", "files": {name: base64.b64encode(work[name]).decode() for name in files_to_load},
        "fetch_files": files_to_save, "compile_timeout": seconds, "run_timeout": seconds,
    })
    result = answer["run_result"]
    result.pop("execution_time")
    for name, content in answer["files"].items():
        work[name] = base64.b64decode(content)
    return result


work = {"train.csv": b"x,y\n1,2\n2,4\n3,6\n", "val.csv": b"row_id,x\n0,4\n1,5\n"}
code = """
import pandas as pd
from sklearn.linear_model import LinearRegression
train, val = pd.read_csv("train.csv"), pd.read_csv("val.csv")
model = LinearRegression().fit(train[["x"]], train["y"])
val.assign(y=model.predict(val[["x"]]).round(6))[["row_id", "y"]].to_csv("prediction.csv", index=False)
print("done")
"""
result = python_executor(code, work, ["train.csv", "val.csv"], ["prediction.csv"])
assert result == {"status": "Finished", "return_code": 0, "stdout": "done\n", "stderr": ""}, result
assert work["prediction.csv"] == b"row_id,y\n0,8.0\n1,10.0\n", work
assert python_executor("open('prediction.csv')", work, [], [])["return_code"] == 1, "state passed from one call to the next"
assert python_executor("while True: pass", work, [], [], 1)["status"] == "TimeLimitExceeded"


def verdict(generation, stdin, expected, seconds=20):
    """What the reward makes of one test case: right or wrong, or a code for why it did not get so far."""
    answer = post({
        "compile_timeout": seconds, "run_timeout": seconds, "code": generation, "stdin": stdin, "language": "python", "files": {},
        "fetch_files": [],
    })
    run = answer["run_result"]
    if answer["status"] == "Success" and run["status"] == "Finished":
        return run["stdout"].rstrip("\n") == expected
    if answer["status"] == "Failed" and run["status"] == "TimeLimitExceeded":
        return -3
    if answer["status"] == "Failed" and run["return_code"] != 0:
        return -2
    return -1


cases = [
    ("print(sum(map(int, input().split())))", "3 4", "7", True),
    ("print(sum(map(int, input().split())))", "3 4", "8", False),
    ("print(1 / 0)", "", "", -2),
    ("import time; time.sleep(30)", "", "", -3),
]
with ThreadPoolExecutor(4) as pool:
    verdicts = list(pool.map(lambda case: verdict(case[0], case[1], case[2], 2 if case[3] == -3 else 20), cases))
assert verdicts == [case[3] for case in cases], verdicts
