import ctypes, os, struct, sys, types
# Addresses that do not change from run to run, so that `<object at 0x…>` does not either.
libc = ctypes.CDLL(None)
if not libc.personality(0xFFFFFFFF) & 0x0040000 and libc.personality(0x0040000) != -1:
    if libc.personality(0xFFFFFFFF) & 0x0040000:
        os.execv(sys.executable, sys.orig_argv)
def take(length):
    parts = b""
    while len(parts) < length:
        parts += os.read(0, length - len(parts)) or sys.exit(2)
    return parts
for name in ("wire", "jail", "agent", "supervisor"):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(take(struct.unpack(">I", take(4))[0]).decode(), f"<{name}>", "exec"), module.__dict__)
sys.modules["supervisor"].main()
