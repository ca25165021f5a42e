#!/usr/bin/env bash
# tests/e2e/bad_input.sh - everything that a user can get wrong, with the exact words of the answer.
# usage: bad_input.sh BUILD
. "$(dirname "$0")/lib.sh"
start_kairo
serve_data
config quick 6 | apply >/dev/null
invalid() { # NAME "what admission says" -> the CLI's whole line
  echo "error: workspace.kaito.sh/$1: apply Workspace default/$1: Workspace.kaito.sh \"$1\" is invalid: admission webhook \"validation.workspace.kaito.sh\" denied the request: validation failed: $2"
}
url=http://127.0.0.1:$data

# --- refused at once: nothing is stored -----------------------------------------------------------
workspace preset | sed 's/smollm2-135m-instruct/no-such-model/' |
  refused "unknown preset" "$(invalid preset 'invalid value: Unsupported tuning preset name no-such-model: tuning.presetName')"
workspace both | sed 's/input: {/input: {image: "localhost:1\/x:1", /' |
  refused "two kinds of input" "$(invalid both 'Exactly one of URLs, Volume, or Image must be specified: tuning.Input.Image, tuning.Input.URLs, tuning.Input.Volume')"
workspace dora "" "" "" "" dora |
  refused "method dora" "$(invalid dora 'invalid value: dora: tuning.Method')"
workspace ftp ftp://example.com/rows.jsonl |
  refused "URL that is not http" "$(invalid ftp 'invalid value: data source URL must use HTTP or HTTPS: tuning.Input.URLs')"
echo 'this: is: no: yaml' | refused "YAML that is no YAML" "error: -:1:9: not valid YAML: mapping values are not allowed in this context"
echo 'hello' | refused "YAML that is no object" "error: -:1:1: expected an object with apiVersion, kind and metadata"
{ workspace twin && echo --- && workspace twin; } |
  refused "two Workspaces with one name in a file" "error: -: workspace.kaito.sh/twin in namespace default stands twice; give one of them another name"
same "nothing of it was stored" "No resources found in default namespace." "$(kairo get workspaces)"
seen=$(kairo apply -f "$work/no-such-file.yaml" 2>&1)
same "file that is not there" "1 error: cannot read \"$work/no-such-file.yaml\": no such file or no permission" "$? $seen"

# --- a clear condition ------------------------------------------------------------------------------
failed="False WorkspaceTuningJobStatusFailed: tuning job failed:"
data_case() { # NAME PATH "message"
  workspace "$1" "$url/$2" quick | apply >/dev/null
  becomes "$3" "$1" JobStarted "$failed $4"
}
data_case url-404 nope/rows.jsonl "URL answers 404" \
  "data-downloader: GET $url/nope/rows.jsonl: 404 Not Found; check the URL, it must be readable without a login"
data_case url-private redirect-private/rows.jsonl "redirect to a private address" \
  "data-downloader: GET http://10.1.2.3/rows.jsonl: the host 10.1.2.3 has a loopback, private or link-local address, which is not fetched from; use a public host"
data_case url-huge huge/rows.jsonl "file too large" \
  "data-downloader: GET $url/huge/rows.jsonl: the file is larger than the limit of 21474836480 bytes (1125899906842624 so far)"
data_case url-empty empty/rows.jsonl "empty file" "data-downloader: GET $url/empty/rows.jsonl: the file is empty"
data_case truncated truncated/rows.parquet "truncated parquet" \
  "bad_data: read rows rows.parquet: Parquet error: Invalid Parquet file. Corrupt footer"
data_case columns columns/rows.csv "wrong columns" \
  "bad_data: load data rows.csv, row 1: no known columns; the row has: colour, size; accepted: messages | conversations | prompt, completion | question, answer | instruction[, input], output | text; or name them in DatasetConfig (messages_column, context_column, response_column)"
config bad-section 6 '      Bogus: {x: 1}' | apply >/dev/null
workspace bad-section "" bad-section | apply >/dev/null
becomes "unknown section of training_config" bad-section JobStarted \
  "False InvalidConfiguration: invalid value: Unrecognized section: Bogus in ConfigMap 'bad-section'; sections are DataCollator, DatasetConfig, LoraConfig, ModelConfig, QuantizationConfig, TrainingArguments"
config bad-key 6 | sed 's/r: 8,/r: 8, lora_alhpa: 3,/' | apply >/dev/null
workspace bad-key "" bad-key | apply >/dev/null
becomes "unknown key of training_config" bad-key JobStarted \
  "$failed bad_config: training_config.yaml: LoraConfig.lora_alhpa is not a known setting; did you mean lora_alpha?"
workspace no-config "" no-such-map | apply >/dev/null
becomes "ConfigMap missing" no-config JobStarted \
  "False DependencyNotFound: ConfigMap 'no-such-map' specified in 'config' not found in namespace 'default'"
workspace no-secret "" quick "" no-such-secret | apply >/dev/null
becomes "push secret missing" no-secret JobStarted \
  "False DependencyNotFound: Secret 'no-such-secret' specified in 'output.imagePushSecret' not found in namespace 'default'; create it (type kubernetes.io/dockerconfigjson), the workspace goes on then"

# --- the registry ---------------------------------------------------------------------------------
wrong=$(printf '{"auths":{"localhost:%s":{"auth":"%s"}}}' "$registry" "$(printf 'kairo:wrong' | base64)" | base64 -w0)
kairo apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Secret
metadata: {name: wrong-password}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: $wrong}
YAML
workspace wrong-password "" quick "" wrong-password | apply >/dev/null
absent=$(free_port)
workspace registry-down "" quick "localhost:$absent/e2e/later:1" | apply >/dev/null
is_pushing() { [ "$(field registry-down .status.tuning.phase)" = Pushing ]; }
until_true 30 is_pushing
refusal() { condition "$1" WorkspaceSucceeded | sed -E 's/attempt [0-9]+ follows/attempt N follows/'; }
is_refused() { [ "$(refusal "$1")" = "$2" ]; }
words="False RegistryUnavailable: HEAD http://localhost:$absent/v2/e2e/later/manifests/1: Couldn't connect to server (the adapter is kept; attempt N follows)"
if until_true 30 is_refused registry-down "$words"; then pass "registry is down: said, the run is kept"; else
  fail "registry is down" "wanted: $words" "seen:   $(refusal registry-down)"
fi
words="False PushRefused: registry localhost:$registry refused the credentials for repository e2e/wrong-password (401 UNAUTHORIZED: authentication required); check the Secret named in output.imagePushSecret (the adapter is kept; the push is tried again every 15 s)"
if until_true 30 is_refused wrong-password "$words"; then pass "wrong password"; else
  fail "wrong password" "wanted: $words" "seen:   $(refusal wrong-password)"
fi
sed -e "s/127.0.0.1:$registry/127.0.0.1:$absent/" -e "s#$KAIRO_HOME/state/registry#$work/registry2#" \
  "$KAIRO_HOME/run/registry.yml" >"$work/registry2.yml"
docker-registry serve "$work/registry2.yml" >"$work/registry2.log" 2>&1 &
children+=($!)
kairo get secret kairo-local-registry -o json |
  jq --arg p "$absent" --arg r "$registry" '.data[".dockerconfigjson"] |= (@base64d | fromjson |
     .auths["localhost:" + $p] = .auths["localhost:" + $r] | tojson | @base64)' | apply >/dev/null
if until_true 90 is_state registry-down Succeeded; then pass "registry is back: pushed without a new run"; else
  fail "registry is back" "$(condition registry-down WorkspaceSucceeded)"
fi
right=$(kairo get secret kairo-local-registry -o json | jq -r '.data[".dockerconfigjson"]')
kairo apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Secret
metadata: {name: wrong-password}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: $right}
YAML
if until_true 60 is_state wrong-password Succeeded; then pass "password corrected: pushed without a new run"; else
  fail "password corrected" "$(condition wrong-password WorkspaceSucceeded)"
fi

# --- the model, the memory, the disk ----------------------------------------------------------------
mv "$model" "$work/good-model"
mkdir "$model"
cp "$work"/good-model/* "$model"
head -c 100000 "$work/good-model/model.safetensors" >"$model/model.safetensors"
workspace corrupt "" quick | apply >/dev/null
becomes "model folder corrupt" corrupt JobStarted \
  "$failed bad_model: model.safetensors: safetensors header: model.layers.0.mlp.down_proj.weight: offsets out of the file"
rm -rf "$model"
mv "$work/good-model" "$model"

mkdir "$work/pissa"
cat >"$work/pissa/adapter_config.json" <<JSON
{"peft_type": "LORA", "r": 4, "lora_alpha": 16, "target_modules": ["q_proj"], "init_lora_weights": "pissa"}
JSON
starts_with() { case "$2" in "$1"*) ;; *) return 1 ;; esac }
holds "an adapter that is no plain LoRA: the last line says which and why" starts_with \
  'kairo-serve: cannot serve: adapter pip: adapter_config.json: init_lora_weights is "pissa": ' \
  "$(kairo-serve --model "$model" --name tiny --port 0 --adapter "pip=$work/pissa" 2>&1 | tail -n 1)"

config long 1500 | apply >/dev/null
workspace killed "" long | apply >/dev/null
is_training() { [ "$(field "$1" .status.tuning.phase)" = Training ]; }
until_true 30 is_training killed
trainer_of() { pgrep -f "kairo-tune train .*$KAIRO_HOME/runs/default/$(field "$1" .metadata.uid)/"; }
until_true 30 trainer_of killed && kill -9 "$(trainer_of killed | head -n 1)"
becomes "trainer killed: said, and tried again" killed WorkspaceSucceeded \
  "False workspacePending: workspace has not completed yet, the tuning is started again after: killed: killed by signal 9"
if until_true 60 is_state killed Succeeded; then pass "trainer killed: resumed and done"; else
  fail "trainer killed: resumed and done" "$(condition killed WorkspaceSucceeded)"
fi

# The kernel ends the trainer at its memory limit, which is lowered as soon as it has one.
memory_group_of() { # pid -> the folder of its control group, "" when it is not one of kairo's
  local path
  path=$(awk -F: '$2 == "memory" || $1 == 0 { print ($2 == "" ? "" : "/memory") $3 }' "/proc/$1/cgroup" 2>/dev/null | grep /kairo- | head -n 1)
  echo "${path:+/sys/fs/cgroup$path}"
}
starve() { # uid of a Workspace: less than the trainer needs, more than it has in its first moments
  local pid group file
  pid=$(pgrep -f "kairo-tune train .*/runs/default/$1/" | head -n 1)
  group=$(memory_group_of "$pid")
  for file in "$group/memory.max" "$group/memory.limit_in_bytes"; do
    if [ -n "$group" ] && [ -e "$file" ]; then echo 24M 2>/dev/null >"$file" && return; fi
  done
  return 1
}
workspace starved "" long | apply >/dev/null
starved=$(field starved .metadata.uid)
end=$((SECONDS + 10))
until starve "$starved" 2>/dev/null || [ $SECONDS -ge $end ]; do :; done
if [ $SECONDS -ge $end ]; then
  skip "trainer OOM-killed" "control groups cannot be made or lowered here"
else
  limit=$(kairo get pods -o json | jq -r --arg uid "$starved" '[.items[] | select(tostring | contains($uid))
    | .spec.containers[0].resources.limits.memory | tonumber / 1048576 | floor] | first')
  becomes "trainer OOM-killed: said, and tried again" starved WorkspaceSucceeded \
    "False workspacePending: workspace has not completed yet, the tuning is started again after: starved: OOMKilled: it passed its memory limit of $limit MiB; lower per_device_train_batch_size, or use a machine with more memory"
  if until_true 60 is_state starved Succeeded; then pass "trainer OOM-killed: done in the end"; else
    fail "trainer OOM-killed: done in the end" "$(condition starved WorkspaceSucceeded)"
  fi
fi

if mount -t tmpfs -o size=100k tmpfs "$KAIRO_HOME/runs" 2>/dev/null; then
  workspace full "" quick | apply >/dev/null
  words="False workspacePending: workspace has not completed yet, the tuning is started again after: disk_full: "
  is_full() { [[ "$(condition full WorkspaceSucceeded)" == "$words"*"No space left on device"* ]]; }
  if until_true 30 is_full; then pass "disk full"; else
    fail "disk full" "wanted: $words... No space left on device ..." "seen:   $(condition full WorkspaceSucceeded)"
  fi
  mount -o remount,size=64m "$KAIRO_HOME/runs"
  if until_true 90 is_state full Succeeded; then pass "disk has room again: the run goes on"; else
    fail "disk has room again" "$(condition full WorkspaceSucceeded)"
  fi
  kairo delete workspace full >/dev/null
  umount "$KAIRO_HOME/runs"
else
  skip "disk full" "this machine does not let us mount a small file system"
fi

# --- and the rest keeps running -----------------------------------------------------------------
workspace fine "" quick | apply >/dev/null
if until_true 30 is_state fine Succeeded; then pass "after all this a good Workspace succeeds"; else
  fail "after all this a good Workspace succeeds" "$(condition fine WorkspaceSucceeded)"
fi
