#!/usr/bin/env bash
# tests/e2e/trainjob.sh - kairo-tune in a TrainJob of Kubeflow Trainer: it tells where it stands, by HTTPS to the server whose
# certificate the TrainJob names, with the token that lies there now; whatever answers, the adapter is the same.
# usage: trainjob.sh BUILD
. "$(dirname "$0")/lib.sh"
"$build/tests/gpu/make_tiny_model" "$model" || exit 1
port=$(free_port) secret=very-secret-token
certificate() { # NAME HOST
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -addext "subjectAltName=$2" -keyout "$work/$1.key" -out "$work/$1.crt" 2>/dev/null
}
certificate server IP:127.0.0.1 && certificate stranger IP:127.0.0.1 || fail "certificates" "openssl makes none"
echo "$secret" >"$work/token"
python3 "$source_dir/tests/e2e/trainjob_server.py" "$port" "$work/server.crt" "$work/server.key" "$work/token" "$work/posts" &
children+=($!)
until_true 10 curl -sk "https://127.0.0.1:$port/" -o /dev/null
cat >"$work/config.yaml" <<'YAML'
training_config:
  TrainingArguments: {max_steps: 6, per_device_train_batch_size: 4, learning_rate: 1.0e-3}
  DatasetConfig: {train_test_split: 1}
YAML
tune() { # NAME [VARIABLE=value...]: its log is $work/NAME.log
  local name=$1
  shift
  env "$@" kairo-tune train --model "$model" --data "$source_dir/examples/quickstart/data/pip.jsonl" --config "$work/config.yaml" \
    --method lora --output "$work/$name/out" --state "$work/$name/state" --device cpu >"$work/$name.log" 2>&1
}
url=https://127.0.0.1:$port/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/pip/status
job=(KUBEFLOW_TRAINER_SERVER_URL="$url" KUBEFLOW_TRAINER_SERVER_CA_CERT="$work/server.crt" KUBEFLOW_TRAINER_SERVER_TOKEN="$work/token")
adapter() { sha256sum <"$work/$1/out/adapter_model.safetensors"; }

holds "without the variables" tune plain
same "nothing is told" "" "$(cat "$work/posts" 2>/dev/null)"
holds "in a TrainJob" tune told "${job[@]}"
same "the same adapter" "$(adapter plain)" "$(adapter told)"
same "each POST is taken" "[200]" "$(jq -sc 'map(.code) | unique' "$work/posts")"
same "the last one: all is done" '{"progressPercentage":100,"estimatedRemainingSeconds":0}' \
  "$(tail -n 1 "$work/posts" | jq -c '.body.trainerStatus | {progressPercentage, estimatedRemainingSeconds}')"
same "with the metrics of the last step" "$(jq -rs '[.[] | select(.step == 6 and .loss > 0)][0] | "6 \(.loss * 10000 | round)"' "$work/told/state/progress.jsonl")" \
  "$(tail -n 1 "$work/posts" | jq -r '.body.trainerStatus.metrics | map({(.name): .value}) | add | "\(.step) \(.loss | tonumber * 10000 | round)"')"

rm "$work/posts"
holds "a server whose certificate another authority made" tune stranger "${job[@]}" KUBEFLOW_TRAINER_SERVER_CA_CERT="$work/stranger.crt"
same "it is told nothing" "" "$(cat "$work/posts" 2>/dev/null)"
holds "the log says so" grep -q "the TrainJob's status is not told; the training goes on" "$work/stranger.log"
echo another >"$work/other"
holds "a token that the server refuses" tune refused "${job[@]}" KUBEFLOW_TRAINER_SERVER_TOKEN="$work/other"
holds "the log has its answer" grep -q 'it answers 403: .*Forbidden Bearer \.\.\.' "$work/refused.log"
same "no log has a token" "" "$(grep -lE "$secret|Bearer another" "$work"/*.log)"
holds "nobody listens" tune away "${job[@]}" KUBEFLOW_TRAINER_SERVER_URL="https://127.0.0.1:$(free_port)/apis/x"
holds "no token is there" tune lost "${job[@]}" KUBEFLOW_TRAINER_SERVER_TOKEN="$work/nowhere"
same "the same adapters" "$(for name in stranger refused away lost; do adapter plain; done)" \
  "$(for name in stranger refused away lost; do adapter "$name"; done)"
