"""Process 1 of a container: forks the agent once, waits warm, and relays between it and `synth` over one stream.

Standard input and output carry frames of all channels: one byte of channel, a big-endian u32 length, then the bytes. A
frame whose channel has the top bit says that so many bytes of that channel were used up: neither side sends more than
WINDOW bytes ahead of that, so a flood stops in the agent's own pipes and not in anybody's memory.

    0 orders   what `synth` asks (JSON) and what this process says of itself
    1 control  cells and replies, byte for byte
    2 status   orders of one byte; Hello and Farewell, a message in each frame
    3, 4       what the agent prints
    5 files    requests about files of the workspace, and their content

The agent has the same user as this process. It cannot trace it or look into it (not dumpable), and as process 1 it
takes no signal that it has no handler for. When it is gone, the kernel ends everything in the container.
"""

import array
import fcntl
import gc
import json
import os
import select
import signal
import socket
import stat
import struct
import sys
import termios
import time

import agent
import jail
import wire

ORDERS, CONTROL, STATUS, STDOUT, STDERR, FILES = range(6)
USED = 0x80
WINDOW = 256 << 10
PART = 32 << 10
WATCH_SECONDS = 0.1
FIRST_ID = 40
SPARE_BYTES = 64 << 10  # with less than that left, a write may have failed for it
ANONYMOUS = (b"anon", b"rss")
SIGNALS = {b"i": signal.SIGINT, b"t": signal.SIGTERM}
NO_LINKS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Gone(Exception):
    """`synth` is gone, or has no further use for this container."""


def main():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no handler: process 1 then takes no such signal from inside
    os.umask(0o022)
    pass_ids()
    agent.warm(sys.argv.pop())  # as `synth` says; a cell finds no argument
    shell, recorder = agent.make_shell()
    gc.collect()
    gc.freeze()
    if len(os.listdir("/proc/self/task")) != 1:
        sys.exit("the supervisor has more than one thread; forking it would not be safe")
    jail.prctl(jail.PR_SET_DUMPABLE, 0)
    stream = Stream()
    sandbox = Sandbox(stream, shell, recorder)
    stream.say({"version": wire.VERSION, "python": sys.version.split()[0]})
    try:
        while True:
            for channel, body in stream.receive():
                if channel == ORDERS:
                    sandbox.hand_out(json.loads(body))
                    sandbox.run()
                    return
    except Gone:
        pass


def pass_ids():
    """The runtime that started this process used up ids, now more, now fewer: what a cell sees of its own must not tell."""
    pid = 0
    while pid < FIRST_ID:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)


def wait_and_serve(connection, shell, recorder, inherited):
    """In the agent: takes the copies of pages that a first cell costs, and waits to be somebody's."""
    served = agent.Agent(connection, shell, recorder, 0, 1 << 16)
    served.run("1 + 1")
    shell.execution_count = 1
    recorder.clear()
    task = wire.receive(connection)
    if task is None:
        return
    jail.set_limits(task["memory_bytes"], task["workspace_bytes"], inherited)
    served.most = task["output_bytes"]
    served.seed(task["seed"])
    served.serve()


class Stream:
    """The frames on standard input and output."""

    def __init__(self):
        self.arrived = bytearray()
        self.credit = dict.fromkeys((CONTROL, STDOUT, STDERR, FILES), WINDOW)

    def receive(self):
        """What one read brings, as channels and bodies; credit is booked here."""
        part = os.read(0, 1 << 16)
        if not part:
            raise Gone
        self.arrived += part
        frames = []
        while len(self.arrived) >= 5:
            channel, length = struct.unpack_from(">BI", self.arrived)
            if len(self.arrived) < 5 + length:
                break
            body = bytes(self.arrived[5 : 5 + length])
            del self.arrived[: 5 + length]
            if channel & USED:
                self.credit[channel & ~USED] += struct.unpack(">I", body)[0]
            else:
                frames.append((channel, body))
        return frames

    def send(self, channel, body):
        """Waits until it is written: `synth` reads without fail, and its credit bounds what there is to read."""
        if channel in self.credit:
            self.credit[channel] -= len(body)
        data = memoryview(struct.pack(">BI", channel, len(body)) + body)
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:
            raise Gone from None

    def use_up(self, channel, count):
        self.send(channel | USED, struct.pack(">I", count))

    def say(self, message, channel=ORDERS):
        self.send(channel, json.dumps(message).encode())


class Sandbox:
    """The agent, which is there before anybody wants it, and what passes between it and `synth`."""

    def __init__(self, stream, shell, recorder):
        self.stream = stream
        self.to_agent = bytearray()
        self.reply = b""  # read from the agent; sent when what was printed before it is
        self.owed = {}  # bytes of each pipe that have to be sent before the reply
        self.wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake[1], warn_on_full_buffer=False)
        self.start(shell, recorder)

    def start(self, shell, recorder):
        self.control, control = socket.socketpair()
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        inherited = jail.data_bytes()
        program = jail.filter_program()
        self.filters = program is not None
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setpgid(0, 0)
                os.chdir("/workspace")
                jail.prctl(jail.PR_SET_DUMPABLE, 1)
                with open("/proc/self/oom_score_adj", "w") as file:
                    file.write("1000")  # rather than the supervisor
                jail.prctl(jail.PR_SET_NO_NEW_PRIVS, 1)
                jail.filter_calls(program)
                connection = agent.settle_descriptors(control.fileno(), out_end, err_end)
                wait_and_serve(connection, shell, recorder, inherited)
                code = 0
            finally:
                os._exit(code)
        control.close()
        os.close(out_end)
        os.close(err_end)
        self.control.setblocking(False)
        self.pipes = {STDOUT: out, STDERR: err}

    def hand_out(self, request):
        self.memory_bytes = request["memory_bytes"]
        self.meter = Meter()
        self.files = Files(self.stream, self.meter)
        try:
            self.control.send(wire.encode(request))  # the first that it is sent: there is room
        except OSError:
            pass  # its end is told in a moment
        self.stream.say({"version": wire.VERSION, "proc": True, "seccomp": self.filters}, STATUS)

    def run(self):
        ending = None
        try:
            while ending is None:
                ending = self.step()
            self.kill()
            self.drain()
        except Gone:
            self.kill()
            return
        self.stream.say({"version": wire.VERSION, "end": ending}, STATUS)

    def step(self):
        """Waits for one thing to happen and does what follows from it; how it ended, if it did."""
        interest = select.poll()
        interest.register(0, select.POLLIN)
        interest.register(self.wake[0], select.POLLIN)
        if self.control is not None:
            wanted = (0 if self.reply else select.POLLIN) | (select.POLLOUT if self.to_agent else 0)
            interest.register(self.control, wanted)
        for channel, pipe in self.pipes.items():
            if self.stream.credit[channel] > 0:
                interest.register(pipe, select.POLLIN)
        pending = self.files.wants_to_send()
        ready = dict(interest.poll(0 if pending else WATCH_SECONDS * 1000))
        if 0 in ready:
            for channel, body in self.stream.receive():
                if channel == CONTROL:
                    self.to_agent += body
                elif channel == FILES:
                    self.files.take(body)
                elif channel == STATUS and body in SIGNALS:
                    self.signal_agent(SIGNALS[body])
                else:
                    return {"closed": True}
        if self.wake[0] in ready:
            os.read(self.wake[0], 4096)
            ending = self.reap()
            if ending is not None:
                return ending
        for channel, pipe in list(self.pipes.items()):
            if pipe in ready:
                self.pass_on(channel, min(PART, self.stream.credit[channel]))
        if self.control is not None:
            self.exchange(ready.get(self.control.fileno(), 0))
        self.files.send()
        return {"memory": True} if not ready and self.watch() else None

    def pass_on(self, channel, most):
        part = os.read(self.pipes[channel], most)
        if part:
            self.stream.send(channel, part)
            self.owed[channel] = self.owed.get(channel, 0) - len(part)
        else:
            os.close(self.pipes.pop(channel))
            self.owed.pop(channel, None)

    def exchange(self, events):
        """Bytes of cells in, bytes of replies out. A reply comes after all that was printed before it."""
        try:
            if self.to_agent and events & select.POLLOUT:
                sent = self.control.send(self.to_agent)
                del self.to_agent[:sent]
                self.stream.use_up(CONTROL, sent)
            if not self.reply and events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self.reply = self.control.recv(PART)
                if not self.reply:
                    raise ConnectionResetError
                self.owed = {channel: waiting(pipe) for channel, pipe in self.pipes.items()}
        except BlockingIOError:
            pass
        except OSError:
            self.control.close()
            self.control = None
            self.stream.send(CONTROL, b"")
        credit = self.stream.credit[CONTROL]
        if self.reply and credit > 0 and all(owed <= 0 for owed in self.owed.values()):
            self.stream.send(CONTROL, self.reply[:credit])
            self.reply = self.reply[credit:]

    def signal_agent(self, number):
        try:
            os.killpg(self.pid, number)
        except OSError:
            pass

    def reap(self):
        """Buries the dead; how the agent ended, if it did."""
        how = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                break
            if pid == self.pid:
                how = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"exit": os.WEXITSTATUS(status)}
        if how == {"signal": 9} and self.meter.out_of_memory():
            return {"memory": True}
        return how

    def watch(self):
        """Ends what takes more memory than it may; whether that was the agent itself."""
        # What the agent inherited is its own once it is written to, and is no memory that the cells took.
        taken = self.meter.taken_bytes()
        if taken is None or taken <= self.memory_bytes + self.meter.base + jail.RESERVE_BYTES:
            return False
        largest = max(((private_bytes(pid), pid) for pid in members()), default=(0, self.pid))[1]
        try:
            os.kill(largest, signal.SIGKILL)
            self.meter.own_kills += 1
        except OSError:
            pass
        return largest == self.pid

    def kill(self):
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            try:
                os.kill(-1, signal.SIGKILL)
            except OSError:
                return
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)

    def drain(self):
        """Sends what the pipes hold after the end, and a reply that was on its way."""
        owed = {channel: waiting(pipe) for channel, pipe in self.pipes.items()}
        deadline = time.monotonic() + 2
        while any(owed.values()) and time.monotonic() < deadline:
            for channel, left in owed.items():
                if left and self.stream.credit[channel] > 0:
                    part = os.read(self.pipes[channel], min(PART, left, self.stream.credit[channel]))
                    self.stream.send(channel, part)
                    owed[channel] = left - len(part) if part else 0
            blocked = all(not left or self.stream.credit[channel] <= 0 for channel, left in owed.items())
            if any(owed.values()) and blocked and select.select([0], [], [], 0.2)[0]:
                self.stream.receive()
        if self.reply and self.stream.credit[CONTROL] > 0:
            self.stream.send(CONTROL, self.reply[: self.stream.credit[CONTROL]])


class Meter:
    """What the container's own control groups count, where they can be read: version 2, or version 1 by controller."""

    def __init__(self):
        two = os.path.exists("/sys/fs/cgroup/memory.stat")
        folder = "/sys/fs/cgroup" if two else "/sys/fs/cgroup/memory"
        self.stat = f"{folder}/memory.stat"
        self.events = f"{folder}/memory.events" if two else f"{folder}/memory.oom_control"
        self.peak = f"{folder}/memory.peak" if two else f"{folder}/memory.max_usage_in_bytes"
        self.pids = "/sys/fs/cgroup/pids.events" if two else "/sys/fs/cgroup/pids/pids.events"
        self.base = field(self.stat, ANONYMOUS) or 0
        self.kills = field(self.events, (b"oom_kill",))
        self.own_kills = 0  # of the watch above, which the kernel does not count

    def taken_bytes(self):
        now = field(self.stat, ANONYMOUS)
        return None if now is None else now - self.base

    def out_of_memory(self):
        kills = field(self.events, (b"oom_kill",))
        return kills is not None and kills > (self.kills or 0)

    def look(self):
        """What `synth` judges cells by, beside what it sees itself."""
        kills = field(self.events, (b"oom_kill",))
        return {
            "oom_kills": self.own_kills + kills if kills is not None else self.own_kills or None,
            "refused_forks": field(self.pids, (b"max",)),
            "disk_full": any(full(folder) for folder in ("/workspace", "/tmp", "/dev/shm")),
            "memory_peak": field(self.peak),
        }


def full(folder):
    """Whether so little is left that a write may have failed for it."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize < SPARE_BYTES or state.f_files > 0 and state.f_favail == 0


def field(path, names=None):
    """The number behind the first of these names in a file of the kernel's, or the only one in it."""
    try:
        with open(path, "rb") as file:
            for line in file:
                words = line.split()
                if names is None or words[0] in names:
                    return int(words[-1])
    except (OSError, ValueError, IndexError):
        pass
    return None


def members():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]


def private_bytes(pid):
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith((b"RssAnon:", b"VmSwap:"))) * 1024
    except (OSError, ValueError):
        return 0


def waiting(descriptor):
    """The bytes that a pipe holds."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


class Files:
    """Requests about the workspace. No link is followed on the way to a file, and nothing but regular files is touched.

    A request is a frame of JSON; what is written follows in frames of bytes, the last of them empty. So does, after a
    frame of JSON, what is read.
    """

    def __init__(self, stream, meter):
        self.stream = stream
        self.meter = meter
        self.root = os.open("/workspace", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.arrived = bytearray()
        self.outgoing = bytearray()
        self.reading = None
        self.left = 0
        self.writing = None
        self.failure = None

    def take(self, body):
        self.stream.use_up(FILES, len(body))
        self.arrived += body
        while len(self.arrived) >= 4:
            (length,) = struct.unpack_from(">I", self.arrived)
            if len(self.arrived) < 4 + length:
                return
            frame = bytes(self.arrived[4 : 4 + length])
            del self.arrived[: 4 + length]
            if self.writing is not None:
                self.write(frame)
            else:
                self.ask(json.loads(frame))

    def ask(self, request):
        try:
            if request["ask"] == "read":
                self.reading = self.open(request["path"], os.O_RDONLY)
                self.left = request["max"] + 1
                self.answer({})
            elif request["ask"] == "write":
                self.writing, self.failure = -1, None
                self.writing = self.open(request["path"], os.O_WRONLY | os.O_CREAT, make=True)
                os.ftruncate(self.writing, 0)
            elif request["ask"] == "list":
                self.answer({"files": self.list(request["max"])})
            else:
                self.answer(self.meter.look())
        except OSError as error:
            if self.writing is None:
                self.answer({"error": words(error)})
            else:
                self.failure = words(error)

    def open(self, names, flags, make=False):
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.root)
        try:
            for name in names[:-1]:
                if make:
                    try:
                        os.mkdir(name, 0o755, dir_fd=folder)
                    except FileExistsError:
                        pass
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | NO_LINKS, dir_fd=folder)
                os.close(folder)
                folder = below
            file = os.open(names[-1], flags | NO_LINKS, 0o644, dir_fd=folder)
        finally:
            os.close(folder)
        state = os.fstat(file)
        if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
            os.close(file)
            raise OSError(0, "it is a link" if stat.S_ISREG(state.st_mode) else "it is not a regular file")
        return file

    def write(self, part):
        last = not part
        try:
            while part and self.failure is None:
                part = part[os.write(self.writing, part) :]
        except OSError as error:
            self.failure = words(error)
        if last:
            if self.writing >= 0:
                os.close(self.writing)
            self.writing = None
            self.answer({} if self.failure is None else {"error": self.failure})

    def list(self, most):
        """The regular files below the workspace, without its data files; bounded in number, depth and work."""
        files, seen, folders = [], 0, [""]
        while folders:
            prefix = folders.pop()
            try:
                below = self.descend(prefix)
            except OSError:
                continue
            try:
                with os.scandir(below) as entries:
                    for entry in entries:
                        seen += 1
                        path = prefix + entry.name
                        if seen > 100_000:
                            return sorted(files)[:most]
                        if path == "data" or not path.isprintable():
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            if path.count("/") < 32:
                                folders.append(path + "/")
                        elif entry.is_file(follow_symlinks=False):
                            files.append((path, entry.stat(follow_symlinks=False).st_size))
            except OSError:
                pass  # what the agent takes away meanwhile is no failure
            finally:
                os.close(below)
        return sorted(files)[:most]

    def descend(self, prefix):
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.root)
        for name in prefix.split("/")[:-1]:
            try:
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | NO_LINKS, dir_fd=folder)
            finally:
                os.close(folder)
            folder = below
        return folder

    def answer(self, message):
        self.frame(json.dumps(message).encode())

    def frame(self, body):
        self.outgoing += struct.pack(">I", len(body)) + body

    def wants_to_send(self):
        return bool(self.outgoing or self.reading is not None) and self.stream.credit[FILES] > 0

    def send(self):
        """Sends one part of what there is to send, as far as there is credit."""
        if self.reading is not None and not self.outgoing:
            part = os.read(self.reading, min(PART, self.left))
            self.left -= len(part)
            if part:
                self.frame(part)
            if not part or not self.left:
                os.close(self.reading)
                self.reading = None
                self.frame(b"")
        count = min(len(self.outgoing), self.stream.credit[FILES], PART)
        if count > 0:
            self.stream.send(FILES, bytes(self.outgoing[:count]))
            del self.outgoing[:count]


def words(error):
    if error.errno in (40, 20):  # ELOOP of a link; ENOTDIR of a link where a folder should be
        return "it is a link" if error.errno == 40 else "Not a directory"
    return error.strerror or "it cannot be opened"
