"""Tries each layer of the kernel's isolation in a process of its own, and says what was refused.

Run by any Python, alone: prints one JSON object, a layer to the text of its refusal, which is empty where the layer works.
"""

import ctypes
import errno
import json
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWUSER = 0x10000000
NAMESPACES = {"mount": 0x00020000, "pid": 0x20000000, "network": 0x40000000, "ipc": 0x08000000, "uts": 0x04000000}
MS_REC_PRIVATE, MS_NOSUID = 16384 | 1 << 18, 2
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
SYS_LANDLOCK_CREATE_RULESET, LANDLOCK_VERSION = 444, 1


def check(result, what):
    """Turns a C result of -1 into an OSError that says what was tried."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def enter_user():
    uid, gid = os.geteuid(), os.getegid()
    check(libc.unshare(CLONE_NEWUSER), "unshare")
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"0 {uid} 1")
    write("/proc/self/gid_map", f"0 {gid} 1")


def enter(name):
    enter_user()
    check(libc.unshare(NAMESPACES[name]), "unshare")
    if name == "mount":
        # Some hosts let anybody have the namespace and nobody mount in it.
        check(libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC_PRIVATE), None), "making mounts private")
        check(libc.mount(b"tmpfs", b"/", b"tmpfs", ctypes.c_ulong(MS_NOSUID), None), "mount of a tmpfs")


def seccomp():
    if platform.machine() not in ("x86_64", "aarch64"):
        raise OSError(errno.ENOSYS, f"there is no filter for {platform.machine()}")
    # A kernel that has filters looks at the missing program and faults; one that has not does not look.
    libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), None, ctypes.c_ulong(0), ctypes.c_ulong(0))
    if ctypes.get_errno() != errno.EFAULT:
        check(-1, "seccomp")


def landlock():
    """The version of Landlock's interface."""
    return check(libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(LANDLOCK_VERSION)), "landlock")


def refusal(attempt, *arguments):
    """What the kernel said to `attempt` in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = ""
        try:
            attempt(*arguments)
        except OSError as error:
            text = error.strerror or str(error)
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


answers = {"user": refusal(enter_user)}
answers.update((name, refusal(enter, name)) for name in NAMESPACES)
answers["seccomp"] = refusal(seccomp)
answers["landlock"] = refusal(landlock)
answers["landlock_version"] = 0 if answers["landlock"] else landlock()
print(json.dumps(answers))
