#!/usr/bin/env bash
# tests/crash/short.sh - the rounds of `make test`. usage: short.sh BUILD
exec bash "$(dirname "$0")/run.sh" "$1" 4 "${SEED:-1}"
