#!/usr/bin/env python3
# tests/bench/peer/llama.py - llama.cpp's own server on a GGUF, until it is ended.
"""usage: llama.py MODEL.gguf PORT SLOTS CONTEXT THREADS    runs in the venv that llama.sh makes"""
import signal
import sys

import xllamacpp

path, port, slots, context, threads = sys.argv[1], *map(int, sys.argv[2:])
params = xllamacpp.CommonParams()
params.model.path = path
params.hostnames = ["127.0.0.1"]
params.port = port
params.n_parallel = slots
params.n_ctx = slots * context
params.n_gpu_layers = 0
params.cpuparams.n_threads = threads
params.cpuparams_batch.n_threads = threads
params.cache_ram_mib = 0  # of prompts without a slot: kairo keeps none, so it is not counted
params.verbosity = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
