"""SandboxFusion's client from PyPI, as its documentation has it used."""

import base64
import sys

from sandbox_fusion import RunCodeRequest, RunStatus, run_code, run_concurrent, set_sandbox_endpoint

set_sandbox_endpoint(sys.argv[1])
answer = run_code(RunCodeRequest(code='print("Hello, world!")', language="python"))
assert answer.status == RunStatus.Success and answer.run_result.stdout == "Hello, world!\n", answer
request = RunCodeRequest(
    code="import shutil; shutil.copy('in.bin', 'out.bin')", language="python", run_timeout=20,
    files={"in.bin": base64.b64encode(bytes(range(256))).decode()}, fetch_files=["out.bin"],
)
answer = run_code(request)
assert base64.b64decode(answer.files["out.bin"]) == bytes(range(256)), answer
answer = run_code(RunCodeRequest(code="import time; time.sleep(9)", language="python", run_timeout=1))
assert answer.status == RunStatus.Failed and answer.run_result.return_code is None, answer
codes = [f"print({number})" for number in range(6)]
answers = run_concurrent(run_code, args=[[RunCodeRequest(code=code, language="python")] for code in codes])
assert [answer.run_result.stdout for answer in answers] == [f"{number}\n" for number in range(6)], answers
