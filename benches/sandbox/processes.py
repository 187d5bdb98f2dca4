"""What processes take, as the kernel accounts for it: memory, processor time, and the machine's load."""

import os

TICKS = os.sysconf("SC_CLK_TCK")


def stats():
    """Of every process: its parent, and the seconds of processor time of itself and of the children that it has buried."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rsplit(b")", 1)[1].split()
            except (OSError, IndexError):
                continue
            found[int(name)] = (int(fields[1]), sum(int(field) for field in fields[11:15]) / TICKS)
    return found


def tree(root, found=None):
    """A process and all below it."""
    found = found or stats()
    members, grown = {root}, True
    while grown:
        more = {pid for pid, (parent, _) in found.items() if parent in members} - members
        members |= more
        grown = bool(more)
    return members


def cpu_seconds(root):
    """Of a process and all that came of it, living and buried."""
    found = stats()
    return sum(found[pid][1] for pid in tree(root, found) if pid in found)


def machine_cpu_seconds():
    """Of the whole machine, the kernel's own threads and interrupts among it."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq = (int(field) for field in file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def pss_kb(pids):
    """Proportional set sizes, added: a page that n processes share counts for an nth in each."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


def available_kb():
    """What the machine could still hand out."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))


def load():
    """Of the last minute."""
    return os.getloadavg()[0]
