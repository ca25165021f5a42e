# tests/parity/packed_golden.py - the golden data files in packed forms: parquet as pyarrow writes it in many ways, gzip
# and zstd. usage: packed_golden.py OUT_DIR (make_golden.py calls it, too)
import datetime
import decimal
import gzip
import os
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet

MESSAGE = pa.struct([("role", pa.string()), ("content", pa.binary())])
PROMPT = pa.schema([("prompt", pa.string())])
# How two rows are written, and which of their columns.
PARQUET = {
    "gzip": ({"compression": "gzip"}, PROMPT), "brotli": ({"compression": "brotli"}, PROMPT),
    "zstd": ({"compression": "zstd"}, PROMPT), "lz4": ({"compression": "lz4"}, PROMPT),
    "none": ({"compression": "none"}, PROMPT), "v2pages": ({"data_page_version": "2.0", "compression": "gzip"}, PROMPT),
    "delta": ({"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"}, PROMPT),
    "int96": ({"use_deprecated_int96_timestamps": True}, pa.schema([("prompt", pa.string()), ("at", pa.timestamp("ns"))])),
    "binary": ({}, pa.schema([("prompt", pa.binary()), ("n", pa.int64())])),
    "large": ({}, pa.schema([("prompt", pa.large_string()), ("m", pa.large_list(MESSAGE))])),
    "view": ({}, pa.schema([("prompt", pa.string_view())])),
    "noncompliant": ({"use_compliant_nested_type": False}, pa.schema([("m", pa.list_(MESSAGE))])),
    "no_text": ({}, pa.schema([("prompt", pa.string()), ("m", pa.list_(MESSAGE))])),
    "typed": ({}, pa.schema([("at", pa.timestamp("us")), ("cost", pa.decimal128(3, 2)), ("day", pa.date32()),
                             ("u", pa.uint64()), ("half", pa.float16()), ("map", pa.map_(pa.string(), pa.int64()))])),
}
ROW = {"prompt": "é a", "n": 1, "m": [{"role": "user", "content": "hé".encode()}], "at": datetime.datetime(2024, 1, 2, 3, 4, 5),
       "cost": decimal.Decimal("1.10"), "day": datetime.date(2024, 1, 2), "u": 2 ** 64 - 1, "half": np.float16(1.5), "map": [("k", 1)]}
LINES = b'{"a":"\xc3\xa9"}\n{"a":2}\n'
TEXTS = {"a.jsonl": LINES, "a.ndjson": LINES, "a.json": b'[{"a":"\xc3\xa9"},{"a":2}]', "a.csv": b"a\n\xc3\xa9\n2\n"}


def keep(path, data):
    with open(path, "wb") as file:
        file.write(data)


def write(out):
    folder = f"{out}/packed"
    os.makedirs(folder, exist_ok=True)
    for name, (options, schema) in PARQUET.items():
        other = dict(ROW, m=[{"role": "user", "content": b"\xff"}]) if name == "no_text" else dict(ROW, prompt=None)
        table = pa.Table.from_pylist([{c: r[c] for c in schema.names} for r in (ROW, other)], schema=schema)
        pa.parquet.write_table(table, f"{folder}/{name}.parquet", **options)
    twice = pa.table([[1], [2]], names=["a", "a"])
    pa.parquet.write_table(twice, f"{folder}/twice.parquet")
    pa.parquet.write_table(pa.table({"m": twice.to_struct_array()}), f"{folder}/nested_twice.parquet")
    zstd = pa.Codec("zstd")
    for name, data in TEXTS.items():  # two members each, as cat of two files makes them
        keep(f"{folder}/{name}.gz", b"".join(gzip.compress(part, mtime=0) for part in (data[:5], data[5:])))
        keep(f"{folder}/{name}.zst", b"".join(zstd.compress(part, asbytes=True) for part in (data[:5], data[5:])))
    large = b'{"a":"' + b" " * 4_000_000 + b'"}'
    keep(f"{folder}/bomb.jsonl.gz", gzip.compress(large, mtime=0))
    table = pa.table({"a": [" " * 300_000_000]}, schema=pa.schema([("a", pa.large_string())]))
    for codec in ("zstd", "brotli"):
        pa.parquet.write_table(table, f"{folder}/bomb_{codec}.parquet", compression=codec, use_dictionary=False, write_statistics=False)


if __name__ == "__main__":
    write(sys.argv[1])
