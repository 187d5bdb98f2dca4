import ctypes, os, socket, struct, sys, types
# Addresses that do not change from run to run, so that `<object at 0x…>` does not either.
libc = ctypes.CDLL(None)
if not libc.personality(0xFFFFFFFF) & 0x0040000 and libc.personality(0x0040000) != -1:
    if libc.personality(0xFFFFFFFF) & 0x0040000:
        os.execv(sys.executable, sys.orig_argv)
link = socket.socket(fileno=os.dup(0))
os.dup2(os.open("/dev/null", os.O_RDWR), 0)
def take(length):
    parts = b""
    while len(parts) < length:
        parts += link.recv(length - len(parts)) or sys.exit(2)
    return parts
def text():
    return take(struct.unpack(">I", take(4))[0]).decode()
sys.path[:] = [path for path in sys.path if path]
for name in ("wire", "jail", "agent", "family", "zygote"):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text(), f"<{name}>", "exec"), module.__dict__)
sys.modules["zygote"].main(link)
