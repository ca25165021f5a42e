#!/usr/bin/env bash
# Runs every test program and sums up. usage: run.sh BUILD [ASAN_BUILD], or run.sh BUILD cluster|kubernetes: those alone
# Prints one line per program and, last, "N passed, N failed, N skipped" (test cases; a skipped one
# says why on a line that starts with SKIP). What failed is shown where it failed and once more before that line.
# Three lanes run side by side, since most of these programs wait more than they compute: one begins with what needs a
# cluster; each takes the next of what is left, so that they end together.
set -uo pipefail
build=$1
asan='' only=''
case ${2:-} in cluster | kubernetes) only=$2 ;; *) asan=${2:-} ;; esac
export GOMP_SPINCOUNT=1000 # as kairo-tune has it: long spins take the cores from other tests
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
stop() {
  local lane
  for lane in $(jobs -p); do pkill -P "$lane"; kill "$lane"; done 2>/dev/null
  exit 130
}
trap stop INT TERM

run() { # name command...
  local name=$1 out begin end status ok bad skip
  out=$(mktemp "$log/out.XXXXXX")
  shift
  begin=$(date +%s%N)
  timeout "${TEST_TIMEOUT:-600}" "$@" >"$out" 2>&1 </dev/null
  status=$?
  end=$(date +%s%N)
  ok=$(sed -nE 's/.*test cases: +[0-9]+ \| +([0-9]+) passed.*/\1/p' "$out" | tail -n 1)
  bad=$(sed -nE 's/.*test cases:.*\| +([0-9]+) failed.*/\1/p' "$out" | tail -n 1)
  skip=$(grep -acE '(^|MESSAGE: )SKIP' "$out")
  if [ "$status" = 77 ]; then ok=0 bad=0; [ "$skip" -gt 0 ] || skip=1; fi
  if [ -z "$ok" ]; then # a script: one case
    ok=0 bad=0
    if [ "$status" = 0 ]; then ok=1; else bad=1; fi
  elif [ "$status" != 0 ] && [ "$status" != 77 ] && [ "${bad:-0}" = 0 ]; then
    bad=1
  fi
  ok=$((ok - skip < 0 ? 0 : ok - skip))
  exec 9>"$log/lock"
  flock 9 # one program's lines stay together
  echo "$ok $bad $skip" >>"$log/counts"
  printf '%-34s %4d passed %3d failed %3d skipped %7.1f s\n' "$name" "$ok" "$bad" "$skip" "$(((end - begin) / 100000000))e-1"
  grep -aE '(^|MESSAGE: )SKIP' "$out" | sed -E 's/^.*SKIP/    SKIP/' | sort -u
  if [ "$bad" != 0 ]; then
    tail -n 60 "$out" | sed 's/^/    /'
    {
      echo "FAILED  $name$([ "$status" != 124 ] || echo ": ended after ${TEST_TIMEOUT:-600} s")"
      grep -aE -A 3 'ERROR:|FAIL' "$out" | head -n 40 || true
      tail -n 5 "$out"
    } | sed '2,$s/^/    /' >>"$log/failed"
  fi
  exec 9>&-
  rm -f "$out"
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
  local passed failed skipped
  [ ! -f "$log/failed" ] || { echo && cat "$log/failed"; }
  read -r passed failed skipped < <(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$log/counts")
  printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" = 0 ]
}
if [ -n "$only" ]; then "on_$only"; sum_up; exit; fi

run "build/link_tests" cmake --build "$build" --target link_tests # each library links alone

programs() { # build: every test program, "name <tab> seconds <tab> path" by its ctest name; none is a failure
  local list
  list=$(cd "$1" && ctest -N --show-only=json-v1 |
    jq -r '.tests[] | select(.command) | [.name,
      (.properties[] | select(.name == "TIMEOUT").value | floor), .command[0]] | @tsv')
  if [ -z "$list" ]; then
    echo "FAILED  $1 names no test program: is it built, are ctest and jq installed?" >&2
    list=$'no-test-programs\t600\tfalse'
  fi
  echo "$list"
}
# What is left to do, longest first as far as its limit tells: "name <tab> seconds <tab> command..." a line.
left() {
  every_one | sort -s -t $'\t' -k 2,2nr
}
every_one() {
  local name
  printf 'web/page\t600\tbash tests/web/run.sh %s\n' "$build"
  for name in openai tuned_adapters tensorboard trainjob bad_input whole_path page weights images chart standby lost_disk pause half_open by_hand kubectl documented; do
    printf 'e2e/%s\t600\tbash tests/e2e/%s.sh %s\n' "$name" "$name" "$build"
  done
  printf 'crash/short\t600\tbash tests/crash/short.sh %s\n' "$build"
  programs "$build"
  [ -z "$asan" ] || programs "$asan" | sed 's|^|asan/|'
}
next() { # the next line of what is left; fails where nothing is
  local n
  exec 8>"$log/next.lock"
  flock 8
  n=$(($(cat "$log/next" 2>/dev/null || echo 0) + 1))
  echo "$n" >"$log/next"
  exec 8>&-
  sed -n "${n}p;${n}q" "$log/left" | grep .
}
work_off() {
  local line name seconds command
  while line=$(next); do
    IFS=$'\t' read -r name seconds command <<<"$line"
    (
      if [[ $name == asan/* ]]; then # of the simulation fewer lives: ten times slower
        export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 RUNS=150
      fi
      # shellcheck disable=SC2086 # the command's words
      TEST_TIMEOUT=${TEST_TIMEOUT:-$((seconds < 600 ? 600 : seconds))} run "$name" $command
    )
  done
  exit 0
}
clusters_first() {
  COUNT=${COUNT:-100} on_cluster # make test-cluster: 500 Workspaces at once
  on_kubernetes
  work_off
}
left >"$log/left"
lanes=()
for lane in clusters_first work_off work_off; do
  "$lane" &
  lanes+=($!)
done
for lane in "${lanes[@]}"; do wait "$lane" || echo "0 1 0" >>"$log/counts"; done # one that was killed is a failure
sum_up
