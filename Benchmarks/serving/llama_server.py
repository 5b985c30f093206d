#!/usr/bin/env python3
"""llama.cpp's server with a model, from the prebuilt wheel of xllamacpp, until it is killed.

    python llama_server.py MODEL --port 8080 --slots 8 [--threads 2] [--context 512]

The server's own code with its own defaults (continuous batching, parts of a prompt of 512 rows); only the numbers above are set.
"""
import argparse
import signal

import xllamacpp

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--port", type=int, default=8080)
parser.add_argument("--slots", type=int, default=8)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--context", type=int, default=512, help="positions of each slot")
args = parser.parse_args()

settings = xllamacpp.CommonParams()
settings.model.path = args.model
settings.n_parallel = args.slots
settings.n_ctx = args.slots * args.context
settings.cpuparams.n_threads = args.threads
settings.cpuparams_batch.n_threads = args.threads
settings.hostnames = ["127.0.0.1"]
settings.port = args.port
server = xllamacpp.Server(settings)
print(server.listening_address, xllamacpp.get_system_info(), flush=True)
signal.pause()
