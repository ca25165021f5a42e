#!/usr/bin/env bash
# tests/e2e/whole_path.sh - the main job on a real kairo with a tiny model, and what a careful user
# would look at: queueing, status on the bus, stop and start, deletion, secrets, open ports.
# usage: whole_path.sh BUILD
. "$(dirname "$0")/lib.sh"
start_kairo
serve_data
here=$source_dir/tests/e2e
config quick 6 | apply >/dev/null
config long 3000 | apply >/dev/null
nats_port=$(jq -r .nats "$KAIRO_HOME/run/ports.json")
subscribe() { timeout 60 python3 "$here/status_events.py" "$nats_port" "$KAIRO_HOME/secrets/admin.nats" "$1"; }
own_pids() { pgrep -f "$KAIRO_HOME"; pgrep -P "$(pgrep -d, -f "$KAIRO_HOME")"; }

# --- tune, push -----------------------------------------------------------------------------------
subscribe 25 >"$work/events.jsonl" 2>/dev/null &
children+=($!)
workspace tuned "" quick | sed 's/v1beta1/v1alpha1/' | apply >/dev/null # both versions are one object
holds "wait: tuned and pushed" timeout 60 kairo wait tuned
same "state" Succeeded "$(state tuned)"
for type in ResourceReady JobStarted WorkspaceSucceeded; do
  same "condition $type" True "$(field tuned ".status.conditions[] | select(.type == \"$type\") | .status")"
done
same "progress" "Done 6/6" "$(field tuned '.status.tuning | "\(.phase) \(.step)/\(.totalSteps // .total // .total_steps)"')"
(umask 077 && kairo get secret kairo-local-registry -o json | jq -r '.data[".dockerconfigjson"]' | base64 -d >"$work/auth.json")
inspected=$(skopeo inspect --tls-verify=false --authfile "$work/auth.json" --format '{{.Digest}}' "docker://localhost:$registry/e2e/tuned:1")
same "skopeo sees the digest of the status" "$(field tuned .status.artifact.digest)" "$inspected"
same "anonymous pull is refused" 401 "$(curl -s -o /dev/null -w '%{http_code}' "http://localhost:$registry/v2/e2e/tuned/manifests/1")"
same "kubectl's table" \
  "NAME INSTANCE RESOURCEREADY INFERENCEREADY JOBSTARTED WORKSPACESUCCEEDED TARGETNODECOUNT STATE AGE" \
  "$(kairo get workspaces | head -n 1 | tr -s ' ')"
same "the pod is done: the machine is free" Succeeded "$(kairo get pods -o json | jq -r '[.items[].status.phase] | unique | join(" ")')"

# --- status on the bus, read by a client that is not ours ------------------------------------------
wait_for_event() { jq -e 'select(.subject == "default/tuned" and .data.status.state == "Succeeded")' "$work/events.jsonl"; }
holds "subscriber: Succeeded came as it happened" until_true 20 wait_for_event
same "subscriber: the type" dev.kairo.workspace.status.v1 "$(jq -r .type "$work/events.jsonl" | sort -u)"
# Statuses are coalesced: on a calm machine a short training is told in three.
same "subscriber: an id stands for one status" true \
  "$(jq -s 'length > 1 and (group_by(.id) | all(map(.data) | unique | length == 1))' "$work/events.jsonl")"
same "a later subscriber gets the last value at once" Succeeded \
  "$(subscribe 2 | jq -r 'select(.subject == "default/tuned") | .data.status.state' | head -n 1)"

# --- several at once ------------------------------------------------------------------------------
running() { [ "$(field first '.status.tuning | select(.phase == "Training" and .step > 20) | .phase')" = Training ]; }
workspace first "" long | apply >/dev/null
until_true 30 running
same "Ctrl-C: wait" "130 error: interrupted; the workspace goes on (kairo get workspace -w)" \
  "$(seen=$(timeout --preserve-status -k 20 -s INT 1 kairo wait first 2>&1); echo "$? $(tail -n 1 <<<"$seen")")"
for name in second third; do workspace $name "" quick; echo ---; done | apply >/dev/null
waits() {
  kairo get workspace "$1" -o json | jq -e '.status.conditions[]? | select(.type == "JobStarted" and .status == "False")
    | .message | test("Unschedulable: 0/1 nodes are available: 1 Insufficient (cpu|memory) \\(held by default/first-")'
}
for name in second third; do holds "$name is queued and says what it waits for" until_true 20 waits $name; done

# --- stop in the middle, start again --------------------------------------------------------------
progress_then=$(field first '.status.tuning | "\(.phase) \(.step)"')
holds "down while training" timeout 90 kairo down
none_runs() { ! pgrep -f "$KAIRO_HOME" >/dev/null; }
until_true 2 none_runs # who waited for a pod's process ends a moment after its end is known
same "nothing is left running" "" "$(pgrep -af "$KAIRO_HOME" | cut -c1-200)"
holds "up again" timeout 60 kairo up -d
for name in first second third; do holds "$name: trained in the end" timeout 120 kairo wait $name; done
run=$KAIRO_HOME/runs/default/$(field first .metadata.uid)
resumed() { jq -se 'any(.attempt == 2 and .resumed_from > 20)' "$run"/*/state/progress.jsonl; }
holds "the interrupted run (then: $progress_then) went on from its checkpoint" resumed
ran() { # when the last pod of a Workspace had its program: "START END"
  kairo get pods -o json | jq -r --arg owner "$1-" '[.items[] | select(.metadata.name | startswith($owner))
    | .status.containerStatuses[0].state.terminated | select(.exitCode == 0)] | last | "\(.startedAt) \(.finishedAt)"'
}
order() { ran first | cut -d' ' -f2; for name in second third; do ran $name | cut -d' ' -f1; done; }
first_is_first() { [ "$(order | head -n 1)" = "$(order | sort | head -n 1)" ]; }
holds "what was interrupted comes before what waits" first_is_first

# --- serve ----------------------------------------------------------------------------------------
cat <<YAML | apply >/dev/null
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: server}
resource: {labelSelector: {matchLabels: {kubernetes.io/os: linux}}}
inference:
  preset: {name: smollm2-135m-instruct}
  adapters: [{source: {name: tuned, image: "localhost:$registry/e2e/tuned:1", imagePullSecrets: [kairo-local-registry]}}]
YAML
holds "server: ready" timeout 60 kairo wait server
address=$(kairo get service server -o json | jq -r '.metadata.annotations["kairo.dev/local-address"]')
same "/v1/models" "smollm2-135m-instruct tuned" "$(curl -s "http://$address/v1/models" | jq -r '[.data[].id] | join(" ")')"
holds "kairo chat" timeout 30 kairo chat server --max-tokens 4 "Who are you?"
holds "kairo chat --adapter" timeout 30 kairo chat server --max-tokens 4 --adapter tuned "Who are you?"
same "kairo chat: a model that is not there" \
  "error: /v1/chat/completions answered 404: model nobody is not served here; there are: smollm2-135m-instruct, tuned
(exit 1)" \
  "$(timeout 30 kairo chat server --adapter nobody hi 2>&1; echo "(exit $?)")"
same "kairo chat: a question on standard input" 0 \
  "$(timeout 30 kairo chat server --max-tokens 4 <<<"Who are you?" >/dev/null 2>&1; echo $?)"
same "kairo chat: a Workspace that serves nothing" "error: workspace tuned tunes a model and serves none; chat with an inference Workspace that uses its adapter (docs/serving.md)" \
  "$(timeout 30 kairo chat tuned hi 2>&1)"
same "POST /chat" "true" "$(curl -s "http://$address/chat" -d '{"prompt":"a","generate_kwargs":{"max_new_tokens":2}}' | jq 'has("Result")')"
form='{"type": "json_schema", "json_schema": {"name": "weather", "schema": {"type": "object", "properties":
  {"sky": {"enum": ["clear", "grey"]}, "wind": {"type": "boolean"}}, "required": ["sky", "wind"], "additionalProperties": false}}}'
for name in smollm2-135m-instruct tuned; do
  same "$name answers in the form of a schema" "boolean true" \
    "$(curl -s "http://$address/v1/chat/completions" -d '{"model": "'$name'", "max_tokens": 200, "response_format": '"$form"',
      "messages": [{"role": "user", "content": "What is the weather?"}]}' |
      jq -r '.choices[0].message.content | fromjson | "\(.wind | type) \(.sky == "clear" or .sky == "grey")"')"
done

# --- Ctrl-C wherever a command stands -------------------------------------------------------------
# interrupted SIGNAL command...: how it ended, 137 when it had to be killed.
interrupted() { timeout --preserve-status -k 20 -s "$1" 1 "${@:2}" >/dev/null 2>&1; echo $?; }
mkfifo "$work/typing"
sleep 60 >"$work/typing" & # a terminal on which nobody types
children+=($!)
same "Ctrl-C: apply -f - that waits for input" 130 "$(interrupted INT kairo apply -f - <"$work/typing")"
same "Ctrl-C: events -w" 130 "$(interrupted INT kairo events -w)"
server_pid=$(pgrep -f "kairo-serve .*$KAIRO_HOME/" | head -n 1)
kill -STOP "$server_pid"
same "Ctrl-C: chat that waits for an answer" 130 "$(interrupted INT kairo chat server hi)"
kill -CONT "$server_pid"
registry_pid=$(awk '$1 == "registry" { print $2 }' "$KAIRO_HOME/run/pids")
kill -STOP "$registry_pid"
same "SIGTERM: a pull that waits for its registry" 75 \
  "$(interrupted TERM kairo pull --image "localhost:$registry/e2e/tuned:1" --to "$work/pulled")"
kill -CONT "$registry_pid"

# --- safe by default ------------------------------------------------------------------------------
# shellcheck disable=SC2046
same "everything listens on loopback only" "" \
  "$(python3 "$here/listening.py" $(own_pids | sort -u) | grep -v ' 127\.0\.0\.1:\| ::1:' | tr '\n' ' ')"
same "the home is 0700" 700 "$(stat -c %a "$KAIRO_HOME")"
same "secrets are 0600" 600 "$(stat -c %a "$KAIRO_HOME"/secrets/* | sort -u)"
leaks() { # secrets in arguments, environments or logs
  local secret pid
  for secret in "$KAIRO_HOME"/secrets/*; do
    for pid in $(own_pids | sort -u); do
      tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -f "$secret" && echo "$(basename "$secret") in arguments of $pid"
      tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qF -f "$secret" && echo "$(basename "$secret") in environment of $pid"
    done
    grep -rlF -f "$secret" "$KAIRO_HOME/log" | sed "s|^|$(basename "$secret") in |"
  done
}
same "no secret in arguments, environments or logs" "" "$(leaks)"

same "each bus user has the rights that it needs and no others" "admin: none; kairo.status.> kairo.dead.> _INBOX.>
launcher: run; none
node: artifact rundir serving training; none
provisioner: resources; none
pusher: checkpoint push; none
watcher: job node nodeclaim part pod server workspace; none
web: none; none
nobody: Authorization Violation
unsaid: claimend statusseen trouble" "$(timeout 20 python3 "$here/bus_rights.py" "$(jq -r .nats "$KAIRO_HOME/run/ports.json")" "$KAIRO_HOME/secrets")"

# --- what else a person types ---------------------------------------------------------------------
same "completion offers the names" "server" \
  "$(bash -c 'eval "$(kairo completion bash)"; COMP_WORDS=(kairo chat ser) COMP_CWORD=2; _kairo; echo "${COMPREPLY[*]}"')"
for words in "version" "status" "explain workspace" "explain workspace.tuning" "completion bash" "events" \
  "get all" "get nodes" "get ws" "describe ws" "get workspaces -o wide" "get workspace tuned -o yaml" "describe workspace tuned" "logs server"; do
  # shellcheck disable=SC2086
  holds "kairo $words" timeout 20 kairo $words
done
same "get: what is not there" $'error: workspaces "nobody" not found in namespace default\n(exit 1)' \
  "$(timeout 20 kairo get workspace nobody 2>&1; echo "(exit $?)")"

kairo get workspaces -o yaml >"$work/all.yaml"
same "what get -o yaml prints can be applied" "5 unchanged" \
  "$(kairo apply -f "$work/all.yaml" 2>&1 | awk '{ print $2 }' | sort | uniq -c | sed 's/^ *//')"
same "an unknown command" 'error: unknown command "frobnicate"; see `kairo --help` (exit 2)' \
  "$(timeout 20 kairo frobnicate 2>&1 | tr '\n' ' ')(exit $(timeout 20 kairo frobnicate >/dev/null 2>&1; echo $?))"

same "the cluster refused nothing that an agent wrote" "" "$(grep -h ' is invalid: ' "$KAIRO_HOME"/log/*.log | head -n 3)"

# --- deletion -------------------------------------------------------------------------------------
holds "delete all Workspaces" timeout 60 kairo delete workspace tuned first second third server
left() { kairo get workspaces,jobs,statefulsets,services,pods -o name 2>/dev/null; ls "$KAIRO_HOME/runs/default"; }
gone() { [ -z "$(left)" ]; }
holds "nothing of them is left" until_true 30 gone
gone || left
timeout 90 kairo down >/dev/null 2>&1
same "without kairo every command says so" "error: kairo is not running ($KAIRO_HOME); start it with \`kairo up -d\`, or name a cluster of your kubeconfig with --context" \
  "$(for words in "get ws" "apply -f $work/all.yaml" "delete ws x" "logs x" "events" "wait x" "chat x hi" "describe ws"; do
    # shellcheck disable=SC2086
    timeout 20 kairo $words 2>&1
  done | sort -u)"
timeout 90 kairo down --purge >/dev/null 2>&1
same "down --purge leaves no file" "" "$(ls -A "$KAIRO_HOME" 2>/dev/null)"
same "down --purge leaves no process" "" "$(pgrep -f "$KAIRO_HOME" | tr '\n' ' ')"
