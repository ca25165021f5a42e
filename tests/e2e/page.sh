#!/usr/bin/env bash
# tests/e2e/page.sh - the page of a real kairo: who may ask, what it answers, and a tuning seen in a browser while `kairo web`
# is killed. usage: page.sh BUILD
. "$(dirname "$0")/lib.sh"
start_kairo
serve_data
web=http://127.0.0.1:$(jq -r .web "$KAIRO_HOME/run/ports.json")
token=$(cat "$KAIRO_HOME/secrets/page")
ask() { curl -s --max-time 5 -H "Authorization: Bearer $token" "${@:2}" "$web$1"; } # path, options
answers() { curl -s -o /dev/null --max-time 5 -w '%{http_code}' "${@:2}" "$web$1"; }

same "its address, with the token in the fragment" "$web/#token=$token" "$(kairo dashboard)"
holds "kairo up says it" grep -qF "$web/#token=$token" "$work/up.log"
same "the token is its owner's alone" 600 "$(stat -c %a "$KAIRO_HOME/secrets/page")"
same "without the token: nothing" 401 "$(answers /api/v1/workspaces)"
same "by another name: nothing (DNS rebinding)" 421 "$(answers / -H 'Host: evil.example')"
same "another page's POST" 403 "$(answers /api/v1/chat/default/x -X POST -d '{}' -H "Authorization: Bearer $token" -H 'Origin: http://evil.example')"
same "what is not there" 'Workspace "x" not found' "$(ask /api/v1/workspaces/default/x | grep -o 'Workspace "x" not found\|workspaces.* "x" not found' | sed 's/.*"x"/Workspace "x"/')"
config steps 60 | apply >/dev/null
workspace seen "" steps | apply >/dev/null

modules=$(bash "$source_dir/deploy/setup/page.sh" --check) || modules=
chromium=$(command -v chromium-headless-shell || command -v chromium)
if [ -z "$modules" ] || [ -z "$chromium" ] || ! command -v node >/dev/null; then
  skip "a tuning in a browser" "chromium, node or the page's packages are not there (make deps)"
else
  mkdir -p "$work/node_modules"
  ln -s "$modules/playwright-core" "$work/node_modules/playwright-core"
  "$modules"/@esbuild/*/bin/esbuild "$source_dir/tests/web/whole_test.ts" --bundle --platform=node --format=esm \
    --target=node20 --external:playwright-core --log-level=warning --outfile="$work/whole_test.mjs"
  if KAIRO_PAGE_ADDRESS=$(kairo dashboard) KAIRO_CHROMIUM=$chromium KAIRO_WEB_PID=$(awk '$1 == "web" { print $2 }' "$KAIRO_HOME/run/pids") \
    node --test --test-reporter=tap "$work/whole_test.mjs" >"$work/whole.tap" 2>&1; then
    pass "a tuning in a browser, web killed meanwhile"
  else
    fail "a tuning in a browser, web killed meanwhile" "$(grep -v '^#' "$work/whole.tap" | head -n 30)"
  fi
fi
holds "tuned" timeout 120 kairo wait seen
is_whole() { [ "$(ask /api/v1/workspaces/default/seen/curve | jq -c '[.first[0], .last[-1]]')" = '[1,60]' ]; }
holds "the curve goes from its first step to its last" until_true 20 is_whole
same "and the losses of progress.jsonl" "" "$(diff <(ask /api/v1/workspaces/default/seen/curve | jq -r '.mean[] | . * 1000 | round') \
  <(jq -r 'select(.phase == "Training" and .step > 0) | .step, (.loss * 1000 | round)' "$KAIRO_HOME"/runs/default/*/*/state/progress.jsonl | paste - - | sort -nu -k1,1 | cut -f 2))"
same "the list has it" '["seen"]' "$(ask /api/v1/workspaces | jq -c '[.items[].metadata.name]')"
same "events, newest first" "true" "$(ask /api/v1/workspaces/default/seen/events | jq '[.items[].at] == ([.items[].at] | sort | reverse)')"
same "the log" tune "$(ask '/api/v1/workspaces/default/seen/log' | jq -r 'if (.text | contains("kairo-tune")) then "tune" else . end')"
# A Workspace that waits: the page's API says why, and so do the series.
workspace waits | sed 's/smollm2-135m-instruct/phi-3-mini-128k-instruct/' | apply >/dev/null
is_waiting() { ask /metrics | grep -q '^kairo_workspace_waiting{namespace="default",name="waits",reason="ModelNotFound"} 1'; }
holds "one that waits, with its reason" until_true 20 is_waiting
same "each metric of the boards is served, or dcgm-exporter's" "" "$(
  served=$(ask /metrics | sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p')
  jq -r '.panels[].targets[].expr, (.templating.list[] | .query | .query? // empty)' "$source_dir"/deploy/grafana/*.json |
    grep -oE '(kairo|DCGM_FI)_[A-Za-z_]+' | sort -u | while read -r metric; do
    [[ $metric =~ ^DCGM_FI_DEV_(GPU_UTIL|FB_USED|POWER_USAGE)$ ]] || grep -qx "$metric" <<<"$served" || echo "$metric"
  done)"
same "the boards are classic JSON with a source of one's choice" "39 null \${datasource} 39 null \${datasource}" \
  "$(for board in "$source_dir"/deploy/grafana/*.json; do jq -r '"\(.schemaVersion) \(.id) \([.panels[].datasource.uid] | unique | join(","))"' "$board"; done | paste -sd ' ')"
kairo delete workspace waits >/dev/null
rss() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(awk '$1 == "web" { print $2 }' "$KAIRO_HOME/run/pids")/status"; }
for _ in 1 2 3 4 5 6 7 8 9 10; do
  curl -sN --max-time 30 -H "Authorization: Bearer $token" "$web/api/v1/stream" -o /dev/null &
  children+=($!)
done
sees_ten() { curl -s "$web/metrics" | grep -q "^kairo_web_viewers 10"; }
holds "ten viewers are seen" until_true 20 sees_ten
sleep 2
echo "MESSAGE: kairo web with ten viewers: $(rss) MiB"
same "ten viewers: 40 MiB at most" true "$([ "$(rss)" -le 40 ] && echo true)"
same "series of the tuning, for who has the token" "kairo_tuning_planned_steps{namespace=\"default\",name=\"seen\"} 60" "$(ask /metrics | grep planned_steps{)"
same "and for nobody else" "" "$(curl -s "$web/metrics" | grep seen)"
kairo delete workspace seen >/dev/null
same "gone from the list" '[]' "$(ask /api/v1/workspaces | jq -c '[.items[].metadata.name]')"
