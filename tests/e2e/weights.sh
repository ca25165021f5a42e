#!/usr/bin/env bash
# tests/e2e/weights.sh - an empty models folder: the weights come from a hub, or from an image of a
# registry, once for all that wait for them, through a kill -9, and what was asked for is done.
# usage: weights.sh BUILD
. "$(dirname "$0")/lib.sh"
hub=$(free_port)
export KAIRO_HUB=http://127.0.0.1:$hub KAIRO_PRESET_REGISTRY=none
repository=$work/hub/HuggingFaceTB/SmolLM2-135M-Instruct
cached=${KAIRO_CACHE:-$HOME/.cache/kairo}/models/smollm2-135m-instruct
mkdir -p "$repository" "$KAIRO_MODELS"
if [ -f "$cached/model.safetensors" ]; then
  ln -s "$cached"/* "$repository/"
else
  skip weights "the real model is not here (make deps); a tiny one stands for it"
  "$build/tests/gpu/make_tiny_model" "$repository" || exit 1
fi
size=$(stat -Lc %s "$repository/model.safetensors")
rate=$((size / 6)) # the fetch takes some seconds, to be looked at and killed in
python3 "$source_dir/tests/e2e/hub_server.py" "$hub" "$work/hub" "$rate" >"$work/hub.log" 2>&1 &
children+=($!)
until_true 30 curl -sf "http://127.0.0.1:$hub/stats" -o /dev/null || exit 1
stat_of() { curl -s "http://127.0.0.1:$hub/stats" | jq -r ".$1"; }

timeout 60 kairo up -d >"$work/up.log" 2>&1 || { cat "$work/up.log"; exit 1; }
registry=$(jq -r .registry "$KAIRO_HOME/run/ports.json")
serve_data
config quick 2 | apply >/dev/null

# --- one apply; two Workspaces; one fetch; a kill -9 in the middle ---------------------------------
for name in one two; do workspace $name "" quick; echo ---; done | apply >/dev/null
reason() { field "$1" '.status.conditions[] | select(.type == "JobStarted") | .reason'; }
message() { field "$1" '.status.conditions[] | select(.type == "JobStarted") | .message'; }
downloads() { [ "$(reason "$1")" = WeightsDownloading ] && [ "$(field "$1" .status.tuning.phase)" = Downloading ]; }
for name in one two; do holds "$name: the status says Downloading" until_true 20 downloads $name; done
tells() { message one | grep -qE "^weights: [0-9.]+ of [0-9.]+ [kMG]B from http://127.0.0.1:$hub/HuggingFaceTB/SmolLM2-135M-Instruct$"; }
holds "the status says how far it is and where from" until_true 10 tells
part=$KAIRO_MODELS/.fetching/smollm2-135m-instruct/.model.safetensors.part
half() { [ "$(stat -c %s "$part" 2>/dev/null || echo 0)" -gt $((size / 3)) ]; }
holds "a third is here" until_true 30 half
kill -9 "$(awk '$1 == "node" { print $2 }' "$KAIRO_HOME/run/pids")"
left=$(stat -c %s "$part")
for name in one two; do holds "$name: trained and pushed in the end" timeout 300 kairo wait $name; done
same "the part that was here was gone on with" true "$([ "$(stat_of ranges)" -ge 1 ] && echo true)"
total=$(find -L "$repository" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')
# The socket's buffers are lost with the process that is killed.
most=$((total + 16000000))
same "nothing came twice ($left bytes were here when it was killed)" true "$([ "$(stat_of bytes)" -le $most ] && echo true || stat_of bytes)"
same "one list for each process that asked" 2 "$(stat_of listings)"
same "the note says where it came from" "http://127.0.0.1:$hub/HuggingFaceTB/SmolLM2-135M-Instruct 1234567890123456789012345678901234567890" \
  "$(jq -r '"\(.source) \(.revision)"' "$KAIRO_MODELS/smollm2-135m-instruct/.source.json")"
same "no draft is left" "" "$(ls "$KAIRO_MODELS/.fetching" | grep -v '\.lock$')"
holds "the runs link the bytes" test "$(stat -c %h "$KAIRO_MODELS/smollm2-135m-instruct/model.safetensors")" -ge 2
workspace three "" quick | apply >/dev/null
holds "a third Workspace trains" timeout 120 kairo wait three
same "and asks for nothing" 2 "$(stat_of listings)"
holds "delete" timeout 60 kairo delete workspace one two three

# --- a Workspace that is deleted does not wait for its fetch ---------------------------------------
rm -rf "$KAIRO_MODELS/smollm2-135m-instruct"
workspace gone "" quick | apply >/dev/null
until_true 20 downloads gone
holds "deleted in the middle of the fetch" timeout 15 kairo delete workspace gone
same "nothing of it is left" "" "$(find "$KAIRO_HOME/runs" -mindepth 2)"

# --- gated: which Secret to make, and then it goes on ----------------------------------------------
echo hf_s3cret >"$repository/.token"
rm -rf "$KAIRO_MODELS/.fetching/smollm2-135m-instruct"
workspace gated "" quick | sed 's/{name: smollm2-135m-instruct}/{name: smollm2-135m-instruct, presetOptions: {modelAccessSecret: hf-token}}/' | apply >/dev/null
says() { message gated | grep -qF "HuggingFaceTB/SmolLM2-135M-Instruct is gated (401 GatedRepo): accept its licence at http://127.0.0.1:$hub/HuggingFaceTB/SmolLM2-135M-Instruct"; }
holds "gated: the condition says where the licence is and which Secret lacks" until_true 30 says
same "gated: the reason" WeightsRefused "$(reason gated)"
kairo delete workspace gated >/dev/null 2>&1
kairo apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Secret
metadata: {name: hf-token}
data: {HF_TOKEN: $(printf hf_s3cret | base64)}
YAML
workspace gated "" quick | sed 's/{name: smollm2-135m-instruct}/{name: smollm2-135m-instruct, presetOptions: {modelAccessSecret: hf-token}}/' | apply >/dev/null
holds "gated: with the token it trains" timeout 300 kairo wait gated
same "the token went to the hub alone" 0 "$(stat_of tokens_at_cdn)"
same "the token is in no log, status or state" "" "$(grep -rlF hf_s3cret "$KAIRO_HOME/log" "$KAIRO_HOME/runs" "$KAIRO_HOME"/state/{node,watcher,launcher,provisioner,pusher,nats} 2>/dev/null)"
kairo delete workspace gated >/dev/null 2>&1

# --- by hand, from the hub and from an image of kairo's own registry --------------------------------
rm -f "$repository/.token"
rm -rf "$KAIRO_MODELS/smollm2-135m-instruct"
holds "pull-model from the hub" timeout 120 kairo pull-model smollm2-135m-instruct
same "pull-model again" "smollm2-135m-instruct is here: $KAIRO_MODELS/smollm2-135m-instruct" "$(kairo pull-model smollm2-135m-instruct)"
same "pull-model: a name that is none" 'error: no preset is called "nobody"; docs/models.md names those that the engine runs' \
  "$(kairo pull-model nobody 2>&1)"

# --- from an artifact of a registry, as KAITO's preset images are: oras' form, each file a layer ------
artifact=$work/artifact config='{}'
mkdir "$artifact" && echo "Directory Transport Version: 1.1" >"$artifact/version"
layer() { # FILE TITLE: its descriptor
  local digest
  digest=$(sha256sum <"$1" | cut -d' ' -f1)
  cp "$1" "$artifact/$digest"
  jq -n --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$1")" --arg title "$2" '
    {mediaType: "application/vnd.oci.image.layer.v1.tar", $digest, $size, annotations: {"org.opencontainers.image.title": $title}}'
}
printf %s "$config" >"$work/config"
for file in "$repository"/*; do layer "$(readlink -f "$file")" "${file##*/}"; done |
  jq -s --argjson config "$(layer "$work/config" x | jq '.mediaType = "application/vnd.oci.image.config.v1+json" | del(.annotations)')" '
    {schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", $config, layers: .}' >"$artifact/manifest.json"
(umask 077 && kairo get secret kairo-local-registry -o json | jq -r '.data[".dockerconfigjson"]' | base64 -d >"$work/auth.json")
image=localhost:$registry/models/smollm2:1
holds "the artifact is in kairo's own registry" skopeo copy --preserve-digests --insecure-policy --dest-tls-verify=false --dest-authfile "$work/auth.json" "dir:$artifact" "docker://$image"
rm -rf "$KAIRO_MODELS/smollm2-135m-instruct" "$artifact"
holds "pull-model from an artifact" timeout 120 kairo pull-model smollm2-135m-instruct --image "$image" --preset-registry-config "$work/auth.json"
same "byte for byte" "$(sha256sum <"$repository/model.safetensors")" "$(sha256sum <"$KAIRO_MODELS/smollm2-135m-instruct/model.safetensors")"
same "its note" "$image" "$(jq -r .source "$KAIRO_MODELS/smollm2-135m-instruct/.source.json")"

# --- a Workspace with weights of its own: an image that needs a Secret; another model than the public one ---
mine() { # NAME SECRET
  workspace "$1" "" quick |
    sed "s|{name: smollm2-135m-instruct}|{name: smollm2-135m-instruct, accessMode: private, presetOptions: {image: \"$image\", imagePullSecrets: [$2]}}|" | apply >/dev/null
}
mine locked absent
refuses() { [ "$(reason locked)" = WeightsRefused ] && message locked | grep -qF "Secret 'absent' of presetOptions.imagePullSecrets in namespace 'default' is not there"; }
holds "an image that needs a Secret: the condition says which lacks" until_true 30 refuses
kairo delete workspace locked >/dev/null 2>&1
mine mine kairo-local-registry
holds "with the Secret it trains" timeout 300 kairo wait mine
same "its weights are an entry of their own, with a note" "$image" "$(jq -r .source "$KAIRO_MODELS"/smollm2-135m-instruct@*/.source.json)"
same "the registry's password is in no log, status or state" "" \
  "$(grep -rlF "$(jq -r '.auths[].auth' "$work/auth.json")" "$KAIRO_HOME/log" "$KAIRO_HOME/runs" "$KAIRO_HOME"/state/{node,watcher,launcher,provisioner,pusher,nats} 2>/dev/null)"
