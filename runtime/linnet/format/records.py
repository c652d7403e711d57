"""The fixed records of the file: its header and a tensor's entry in the directory."""

from __future__ import annotations

import struct

MAGIC = b"\x89LINNET\n"
MAJOR = 1
HEADER_SIZE = 128
TENSOR_SIZE = 128
NAME_SIZE = 48
SECTION_ALIGNMENT = 64
CHECKSUM_FROM = 32  # the first byte that the checksum covers
HEADER = struct.Struct("<8sHHIQII 12I 4Q 3I 4x")
TENSOR = struct.Struct("<48s 6I 6Q f I")
