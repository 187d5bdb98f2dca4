"""Sandboxes where the kernel gives no namespaces: a supervisor for each, which ends all that the agent started.

The zygote forks the supervisor, and that forks the agent; there are resource limits and no isolation.
"""

import gc
import os
import select
import signal
import socket
import time

import agent
import jail
import wire

WATCH_SECONDS = 0.1
SIGNALS = {b"i": signal.SIGINT, b"t": signal.SIGTERM}


def run(request, descriptors, shell, recorder):
    """In a fresh fork of the zygote: forks the agent and looks after it until the end."""
    control, status, out, err = descriptors
    os.setsid()
    jail.prctl(jail.PR_SET_CHILD_SUBREAPER, 1)
    os.chdir(request["folder"])
    os.environ["HOME"] = os.environ["PWD"] = request["folder"]
    inherited = jail.data_bytes()
    go_reader, go_writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.close(go_writer)
            os.setpgid(0, 0)
            jail.prctl(jail.PR_SET_NO_NEW_PRIVS, 1)
            jail.set_limits(request["memory_bytes"], request["workspace_bytes"], inherited)
            go = os.read(go_reader, 1)
            connection = agent.settle_descriptors(control, out, err)
            if go:
                served = agent.Agent(connection, shell, recorder, request["seed"], request["output_bytes"])
                del shell, recorder
                served.serve()
            code = 0
        finally:
            os._exit(code)
    folder = os.open(request["folder"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    link = socket.socket(fileno=os.dup(status))
    keep = {link.fileno(), folder, go_writer}
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass
    wire.send(link, {"version": wire.VERSION, "proc": True, "seccomp": False}, [folder])
    os.close(folder)
    os.write(go_writer, b"g")
    os.close(go_writer)
    gc.disable()
    supervise(link, pid, request["memory_bytes"])


def supervise(link, pid, memory_bytes):
    """Reaps, interrupts, watches memory, and ends everything when `synth` or the agent is gone."""
    wake_reader, wake_writer = os.pipe()
    for descriptor in (wake_reader, wake_writer):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    waiting = select.poll()
    waiting.register(link.fileno(), select.POLLIN)
    waiting.register(wake_reader, select.POLLIN)
    family = Family()
    baseline = family.anonymous_bytes()
    ending = {}
    while not ending:
        ready = dict(waiting.poll(WATCH_SECONDS * 1000))
        if wake_reader in ready:
            os.read(wake_reader, 4096)
        how = reap_all(pid)
        if how is not None:
            ending = how
        elif link.fileno() in ready:
            order = link.recv(1)
            if order in SIGNALS:
                try:
                    os.killpg(pid, SIGNALS[order])
                except OSError:
                    pass
            else:
                ending = {"closed": True}
        elif family.anonymous_bytes() > baseline + memory_bytes and family.exact_bytes() > baseline + memory_bytes:
            ending = {"memory": True}
    family.end()
    link.settimeout(1)
    try:
        wire.send(link, {"version": wire.VERSION, "end": ending})
    except OSError:
        pass
    os._exit(0)


def reap_all(agent_pid):
    """Buries the dead; how the agent ended, if it did."""
    how = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return how if how is not None else {"exit": 0}
        if pid == 0:
            return how
        if pid == agent_pid:
            how = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"exit": os.WEXITSTATUS(status)}


class Family:
    """The agent and all that came of it: the descendants of this process."""

    def members(self):
        every = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        me = os.getpid()
        parents = {}
        for pid in every:
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    parents[pid] = int(file.read().rsplit(b")", 1)[1].split()[1])
            except (OSError, IndexError):
                pass
        found, grown = {me}, True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            found |= more
            grown = bool(more)
        return sorted(found - {me})

    def sum_fields(self, file_name, names):
        total = 0
        for pid in self.members():
            try:
                with open(f"/proc/{pid}/{file_name}", "rb") as file:
                    for line in file:
                        if line.startswith(names):
                            total += int(line.split()[1]) * 1024
            except (OSError, ValueError, IndexError):
                pass
        return total

    def anonymous_bytes(self):
        return self.sum_fields("status", (b"RssAnon:", b"RssShmem:"))

    def exact_bytes(self):
        """What is shared after a fork counted once: dear, so asked only when the cheap sum is too large."""
        return self.sum_fields("smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:"))

    def end(self):
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            members = self.members()
            if not members:
                return
            for pid in members:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)
