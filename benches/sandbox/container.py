"""The baseline of the docker backend: `docker run` of the same image, bounded as ours bounds it, with the same imports."""

import ast
import pathlib
import subprocess
import time

IMAGE = "synth"
SANDBOX = pathlib.Path(__file__).resolve().parent.parent.parent / "crates/sandbox"
HARD = [
    "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true",
    f"--security-opt=seccomp={SANDBOX}/image/seccomp.json", "--memory=3g", "--memory-swap=3g", "--cpus=1", "--pids-limit=257",
    "--ipc=private", "--log-driver=none", "--shm-size=256m", "--user=1000:1000", "--workdir=/",
    "--tmpfs=/workspace:rw,exec,nosuid,nodev,size=1g,uid=1000,gid=1000", "--tmpfs=/tmp:rw,exec,nosuid,nodev,size=256m,uid=1000,gid=1000",
    "--env=OMP_NUM_THREADS=1", "--env=OPENBLAS_NUM_THREADS=1", "--env=HOME=/workspace", "--env=MPLCONFIGDIR=/tmp/.matplotlib",
]  # fmt: skip


def missing():
    """Why there is nothing to measure, if so."""
    for words, why in [
        (["docker", "version"], "no Docker Engine answers"),
        (["docker", "image", "inspect", IMAGE], f"there is no image `{IMAGE}`: `synth sandbox build` makes it"),
    ]:
        try:
            done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return why
        if done.returncode:
            return why
    return None


SHELL = "from IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell()\nshell.run_cell('x = 1+1')\nprint(shell.user_ns['x'], flush=True)"


def program(shell):
    """What the agent imports before it forks, and `1+1`: in a shell as cells find one, or in plain Python."""
    source = (SANDBOX / "agent/agent.py").read_text()
    warm = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "warm")
    return f"import sys\n{ast.get_source_segment(source, warm)}\nwarm()\n{SHELL if shell else 'print(1+1, flush=True)'}"


def cold(shell=True):
    """Milliseconds until `1+1` is printed; the end of the container and its removal come after."""
    begun = time.perf_counter()
    words = ["docker", "run", "--rm", *HARD, "--entrypoint=/usr/bin/python3", IMAGE, "-s", "-B", "-c", program(shell)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "2\n"
    taken = 1e3 * (time.perf_counter() - begun)
    process.wait(timeout=60)
    return taken
