"""Frames: a big-endian u32 length, then JSON. The same on every socket between `synth` and its Python processes."""

import json
import socket
import struct

VERSION = 1
MAX_FRAME = 64 << 20


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
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(1 << 20, length - len(parts)))
        if not part:
            return None
        parts += part
    return bytes(parts)


def encode(message):
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    return struct.pack(">I", len(body)) + body


def send(connection, message, descriptors=()):
    data = encode(message)
    if descriptors:
        sent = socket.send_fds(connection, [data], list(descriptors))
        data = data[sent:]
    connection.sendall(data)
