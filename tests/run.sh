#!/usr/bin/env bash
# Runs every test program and sums up. usage: run.sh BUILD [ASAN_BUILD], or run.sh BUILD cluster|kubernetes: those alone
# Prints one line per program and, last, "N passed, N failed, N skipped" (test cases; a skipped one
# says why on a line that starts with SKIP). What failed is shown where it failed and once more before that line.
set -uo pipefail
build=$1
asan='' only=''
case ${2:-} in cluster | kubernetes) only=$2 ;; *) asan=${2:-} ;; esac
export GOMP_SPINCOUNT=1000 # as kairo-tune has it: long spins take the cores from other tests
passed=0 failed=0 skipped=0
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

run() { # name command...
  local name=$1 begin end status ok bad skip
  shift
  begin=$(date +%s%N)
  timeout "${TEST_TIMEOUT:-600}" "$@" >"$log/out" 2>&1
  status=$?
  end=$(date +%s%N)
  ok=$(sed -nE 's/.*test cases: +[0-9]+ \| +([0-9]+) passed.*/\1/p' "$log/out" | tail -n 1)
  bad=$(sed -nE 's/.*test cases:.*\| +([0-9]+) failed.*/\1/p' "$log/out" | tail -n 1)
  skip=$(grep -acE '(^|MESSAGE: )SKIP' "$log/out")
  if [ "$status" = 77 ]; then ok=0 bad=0; [ "$skip" -gt 0 ] || skip=1; fi
  if [ -z "$ok" ]; then # a script: one case
    ok=0 bad=0
    if [ "$status" = 0 ]; then ok=1; else bad=1; fi
  elif [ "$status" != 0 ] && [ "$status" != 77 ] && [ "${bad:-0}" = 0 ]; then
    bad=1
  fi
  ok=$((ok - skip < 0 ? 0 : ok - skip))
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
  printf '%-34s %4d passed %3d failed %3d skipped %7.1f s\n' "$name" "$ok" "$bad" "$skip" "$(((end - begin) / 100000000))e-1"
  grep -aE '(^|MESSAGE: )SKIP' "$log/out" | sed -E 's/^.*SKIP/    SKIP/' | sort -u
  if [ "$bad" = 0 ]; then return; fi
  tail -n 60 "$log/out" | sed 's/^/    /'
  {
    echo "FAILED  $name$([ "$status" != 124 ] || echo ": ended after ${TEST_TIMEOUT:-600} s")"
    grep -aE -A 3 'ERROR:|FAIL' "$log/out" | head -n 40 || true
    tail -n 5 "$log/out"
  } | sed '2,$s/^/    /' >>"$log/failed"
}

on_cluster() { # a real control plane
  local name
  for name in own_nodes from_kaito provision faults image_volumes; do
    [ ! -f "tests/cluster/$name.sh" ] || TEST_TIMEOUT=${TEST_TIMEOUT:-1200} run "cluster/$name" bash "tests/cluster/$name.sh" "$build"
  done
}
on_kubernetes() { # and a real node
  TEST_TIMEOUT=${TEST_TIMEOUT:-1800} run "e2e/on_kubernetes" bash tests/e2e/on_kubernetes.sh "$build"
}
sum_up() {
  [ ! -f "$log/failed" ] || { echo && cat "$log/failed"; }
  printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" = 0 ]
}
if [ -n "$only" ]; then "on_$only"; sum_up; exit; fi

run "build/link_tests" cmake --build "$build" --target link_tests # each library links alone

programs() { # build: every test program, "name <tab> path" by its ctest name; none is a failure
  local list
  list=$(cd "$1" && ctest -N --show-only=json-v1 |
    jq -r '.tests[] | select(.command) | [.name, .command[0]] | @tsv')
  if [ -z "$list" ]; then
    echo "FAILED  $1 names no test program: is it built, are ctest and jq installed?" >&2
    list=$'no-test-programs\tfalse'
  fi
  echo "$list"
}
while IFS=$'\t' read -r name command; do run "$name" "$command"; done < <(programs "$build")
if [ -n "$asan" ]; then
  export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 RUNS=150 # of the simulation: ten times slower
  while IFS=$'\t' read -r name command; do run "asan/$name" "$command"; done < <(programs "$asan")
  unset RUNS
fi
for name in whole_path documented by_hand standby bad_input kubectl half_open images chart weights; do run "e2e/$name" bash "tests/e2e/$name.sh" "$build"; done
run "crash/short" bash tests/crash/short.sh "$build"
COUNT=${COUNT:-100} on_cluster # make test-cluster: 500 Workspaces at once
on_kubernetes
sum_up
