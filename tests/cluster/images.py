#!/usr/bin/env python3
# tests/cluster/images.py - images that hold one program each, as an OCI layout; the program needs no library.
"""usage: images.py OUT NAME=FILE...     NAME's entry point is /NAME; FILE may be a folder: then it lies at /data"""
import importlib.util
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("build", f"{here}/../../deploy/images/build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)

layout = build.Layout(sys.argv[1])
for part in sys.argv[2:]:
    name, file = part.split("=", 1)
    layer = build.Layer(name)
    if os.path.isdir(file):
        for entry in sorted(os.listdir(file)):
            layer.copy(f"data/{entry}", f"{file}/{entry}")
    else:
        layer.copy(name, file, 0o755)
    layout.image(name, "1", [layer], [] if os.path.isdir(file) else [f"/{name}"])
layout.close()
