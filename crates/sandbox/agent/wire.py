"""Frames: a big-endian u32 length, then JSON. The same on every socket between `synth` and its Python processes.

The protocol is written down in `frame.rs`.
"""

import json
import socket
import struct

VERSION = 2
MAX_FRAME = 64 << 20
NONCE_BYTES = 32
MAX_DISPLAYS = 16
MAX_DISPLAY_BYTES = 4 << 20
MEDIA_TYPES = (
    "image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp",
    "text/html", "text/markdown", "text/latex", "application/json",
)  # fmt: skip


def receive(connection):
    """The next frame, or None at the end of the stream."""
    head = exactly(connection, 4)
    if head is None:
        return None
    (length,) = struct.unpack(">I", head)
    if length > MAX_FRAME:
        raise ValueError("a frame is too long")
    body = exactly(connection, length)
    return None if body is None else json.loads(body)


def receive_with_descriptors(connection, most):
    """As `receive`, for a frame whose length came with file descriptors."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, most)
    if head and len(head) < 4:
        rest = exactly(connection, 4 - len(head))
        head = b"" if rest is None else head + rest
    if not head:
        return None, descriptors
    body = exactly(connection, struct.unpack(">I", head)[0])
    return (None if body is None else json.loads(body)), descriptors


def exactly(connection, length):
    part = connection.recv(length) if length else b""
    if len(part) == length:
        return part
    parts = bytearray(part)
    while len(parts) < length:
        if not part:
            return None
        part = connection.recv(min(1 << 20, length - len(parts)))
        parts += part
    return bytes(parts)


def encode(message, displays=()):
    """A frame with this message, and the bytes of displays behind it."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    if displays:
        body = b"\n".join([body, b"".join(displays)])
    return struct.pack(">I", len(body)) + body


def send(connection, message, descriptors=(), displays=()):
    data = encode(message, displays)
    if descriptors:
        sent = socket.send_fds(connection, [data], list(descriptors))
        data = data[sent:]
    connection.sendall(data)
