#!/usr/bin/env bash
# What this proves: an inference Workspace that names a tuning Workspace answers as it once that has succeeded, in the
# process that has answered all along; tuned again, the new revision takes the old one's place; whatever is killed comes
# back with what was loaded; a tuning that goes leaves its adapter answering, and the status says why.
# usage: tuned_adapters.sh BUILD
source "$(dirname "$0")/lib.sh"
start_kairo
serve_data
config some 1000 | apply >/dev/null
config other 12 | apply >/dev/null

server() { # NAME ANNOTATION: an inference Workspace
  cat <<YAML
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: $1, annotations: {kairo.dev/adapters-from: "$2"}}
resource: {labelSelector: {matchLabels: {kubernetes.io/os: linux}}}
inference:
  preset: {name: smollm2-135m-instruct}
YAML
}
adapter() { field server ".status.adapters[]? | select(.name == \"$1\") | .$2 // \"\""; }
is_adapter() { [ "$(adapter "$1" "$2")" = "$3" ]; }
says() { [[ "$(adapter "$1" message)" =~ $2 ]]; }
pid_of_server() { pgrep -f "kairo-serve --model $KAIRO_HOME/runs/default/$(field server .metadata.uid)/" | head -n 1; }
address() { field server '.status.address // ""'; }
ask() { # MODEL: the status of an answer
  curl -s -o "$work/answer.json" -w '%{http_code}' "http://$(address)/v1/chat/completions" -H 'content-type: application/json' \
    -d "{\"model\": \"$1\", \"max_tokens\": 4, \"messages\": [{\"role\": \"user\", \"content\": \"Who are you?\"}]}"
}
answers() { [ "$(ask "$1")" = 200 ]; }
pid_of() { awk -v name="$1" '$1 == name { print $2 }' "$KAIRO_HOME/run/pids" 2>/dev/null; }
digest_of() { field "$1" '.status.artifact.digest // ""'; }

# --- applied at once: the base model answers meanwhile ---------------------------------------------------------------
{ workspace pip "" some && echo --- && server server "pip, nobody, server-2" && echo --- &&
  sed 's|pip-server|server-2|' "$source_dir/examples/quickstart/serve-as-tuned.yaml"; } | apply >/dev/null
holds "the server is ready while the tuning runs" until_true 60 is_state server Ready
same "the tuning runs" Running "$(state pip)"
pid=$(pid_of_server)
holds "the base model answers" answers smollm2-135m-instruct
holds "the status says what it waits for" until_true 20 says pip '^waits for the tuning Workspace pip: Training [0-9]+/1000$'
same "in a word" Waiting "$(adapter pip state)"
same "a name that nobody has" "tuning Workspace nobody not found: apply it, or take the name out of kairo.dev/adapters-from" "$(adapter nobody message)"
same "one that tunes nothing" "Workspace server-2 tunes nothing: name a tuning Workspace, or take the name out of kairo.dev/adapters-from" "$(adapter server-2 message)"
same "its condition" "False AdapterWaiting" "$(condition server AdaptersReady | sed 's/:.*//')"
same "asked for one that is not there" 404 "$(ask nobody)"

# --- it succeeds -------------------------------------------------------------------------------------------------------
until_true 300 is_state pip Succeeded || fail "the tuning succeeds" "$(condition pip WorkspaceSucceeded)"
pushed_ms=$(date +%s%3N)
holds "then it answers" until_true 20 answers pip
echo "an adapter's first answer after its Workspace said Succeeded: $(($(date +%s%3N) - pushed_ms)) ms"
holds "the status says so" until_true 20 is_adapter pip state Serving
same "which revision answers" "$(digest_of pip)" "$(adapter pip digest)"
same "and from which image" "localhost:$registry/e2e/pip@$(digest_of pip)" "$(adapter pip image)"
same "nothing is to be said of it" "" "$(adapter pip message)"
same "the server is the same process" "$pid" "$(pid_of_server)"
is_in_example() { [ "$(field server-2 '.status.adapters[0].state')" = Serving ]; }
holds "as in the example" until_true 20 is_in_example
holds "kairo chat asks it" timeout 30 kairo chat server --max-tokens 4 --adapter pip "Who are you?"
first=$(digest_of pip)

# --- tuned again -------------------------------------------------------------------------------------------------------
workspace pip "" other | apply >/dev/null
holds "the older one answers while it is tuned again" answers pip
is_another() { [ -n "$(digest_of pip)" ] && [ "$(digest_of pip)" != "$first" ]; }
until_true 120 is_another || fail "tuned again" "$(condition pip WorkspaceSucceeded)"
until_true 20 is_adapter pip digest "$(digest_of pip)"
same "the new revision answers" "$(digest_of pip)" "$(adapter pip digest)"
holds "it does" answers pip
same "and the server is the same process still" "$pid" "$(pid_of_server)"
revisions() { ls -d "$KAIRO_HOME"/runs/default/"$(field server .metadata.uid)"/current/adapters/pip@* | wc -l; }
is_alone() { [ "$(revisions)" = 1 ]; }
holds "the older one's files go" until_true 10 is_alone

# --- killed ------------------------------------------------------------------------------------------------------------
kill -9 "$(pid_of node)"
holds "kill -9 of the node agent: the adapter answers" answers pip
kill -9 "$pid"
is_new() { [ -n "$(pid_of_server)" ] && [ "$(pid_of_server)" != "$pid" ]; }
holds "kill -9 of the server: it comes back" until_true 60 is_new
holds "with the adapter" until_true 30 answers pip
holds "the status says so again" until_true 20 is_adapter pip state Serving

# --- a volume's adapter, a name that is taken, names that go -------------------------------------------------------------
mkdir -p "$work/out"
workspace kept "" other | sed "s|^  output: .*|  output: {volumeSource: {hostPath: {path: \"$work/out\"}}}|" | apply >/dev/null
server server "pip, kept, smollm2-135m-instruct" | apply >/dev/null
holds "a tuning into a volume is loaded from its run" until_true 120 is_adapter kept state Serving
same "by the digest of its file" "sha256:$(sha256sum "$work/out/adapter_model.safetensors" | cut -d ' ' -f 1)" "$(adapter kept digest)"
holds "and answers" answers kept
same "the base model's name" Refused "$(adapter smollm2-135m-instruct state)"
same "is refused with a reason" "the server has a model smollm2-135m-instruct already, its base or one of inference.adapters: name the tuning Workspace otherwise" "$(adapter smollm2-135m-instruct message)"
pid=$(pid_of_server)
server server "pip" | apply >/dev/null
is_unknown() { [ "$(ask "$1")" = 404 ]; }
holds "a name that is taken out is unloaded" until_true 20 is_unknown kept
same "nothing is started anew for it" "$pid" "$(pid_of_server)"

# --- the tuning goes -----------------------------------------------------------------------------------------------------
timeout 60 kairo delete workspace pip >/dev/null
holds "its adapter goes on answering" answers pip
holds "and the status says why" until_true 20 says pip '^tuning Workspace pip not found: .*; the last revision goes on answering$'
kill -9 "$(pid_of_server)"
holds "also after kill -9 of the server" until_true 60 answers pip
