#!/usr/bin/env bash
# tests/e2e/documented.sh - the Workspace of KAITO's documentation (examples/kaito), on a real kairo: the real model's need is
# said before anything is fetched; with a tiny Phi-3 under its name it is tuned, pushed and served.
# usage: documented.sh BUILD
. "$(dirname "$0")/lib.sh"
start_kairo
serve_data
name=workspace-tuning-phi-3 preset=phi-3-mini-128k-instruct
documented=$source_dir/examples/kaito/phi-3-tuning.yaml

# --- the real model -------------------------------------------------------------------------------
kairo apply -f "$documented" >/dev/null
is_explained() { [[ "$(condition $name ResourceReady)" == "False ModelNotFound"* ]]; }
until_true 20 is_explained
seen=$(condition $name ResourceReady)
need="$preset needs about 4.8 GiB to tune (qlora) (NF4 weights 2.7 GiB, adapter and moments 0.7, activations 1.3, program 0.2)"
case $seen in
  "False ModelNotFound: $need; node "*" has "*" of memory and no GPU. Its weights are not on this node: put config.json, tokenizer.json and *.safetensors into the models folder, under $preset. instanceType Standard_NC6s_v3 (1x NVIDIA V100, compute capability 7.0) is retired by Azure, and the CUDA build needs 8.0 or newer; in a cluster use Standard_NC24ads_A100_v4 or "*)
    pass "what it needs, what is here, what to do" ;;
  *) fail "what it needs, what is here, what to do" "seen: $seen" ;;
esac
same "on one line" 1 "$(wc -l <<<"$seen")"
holds "nothing was started for it" bash -c '! kairo get jobs | grep -q phi-3'
kairo delete workspace $name >/dev/null

# --- a tiny one with the real config's structure ----------------------------------------------------
"$build/tests/gpu/make_tiny_model" "$KAIRO_MODELS/$preset" phi3
# Only what is somebody's own is replaced: the data set's address, the registry and its Secret.
sed -e "s|https://huggingface.co.*parquet|http://127.0.0.1:$data/quickstart/data/pip.jsonl|" \
  -e "s|myregistry.example.com/|localhost:$registry/|" -e 's|my-registry-secret|kairo-local-registry|' "$documented" |
  kairo apply -f - >/dev/null
holds "tuned and pushed" timeout 120 kairo wait $name
same "state" Succeeded "$(state $name)"
mkdir -m 700 "$work/docker"
(umask 077 && kairo get secret kairo-local-registry -o json | jq -r '.data[".dockerconfigjson"]' | base64 -d >"$work/docker/config.json")
holds "the adapter can be pulled" kairo pull --image "localhost:$registry/adapters/phi-3-dolly:0.0.1" --docker-config-dir "$work/docker" --to "$work/adapter"
adapter=$(find "$work/adapter" -name adapter_config.json)
same "Phi-3's modules by default" "o_proj qkv_proj" "$(jq -r '.target_modules | sort | join(" ")' "$adapter")"
kairo apply -f - >/dev/null <<YAML
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: server}
resource: {labelSelector: {matchLabels: {kubernetes.io/os: linux}}}
inference:
  preset: {name: $preset}
  adapters: [{source: {name: dolly, image: "localhost:$registry/adapters/phi-3-dolly:0.0.1", imagePullSecrets: [kairo-local-registry]}}]
YAML
holds "server: ready" timeout 60 kairo wait server
address=$(kairo get service server -o json | jq -r '.metadata.annotations["kairo.dev/local-address"]')
same "/v1/models" "$preset dolly" "$(curl -s "http://$address/v1/models" | jq -r '[.data[].id] | join(" ")')"
answer() {
  curl -s "http://$address/v1/chat/completions" -d '{"model": "'"$1"'", "max_tokens": 4, "temperature": 0, "messages": [{"role": "user", "content": "hi"}]}' |
    jq -r '.usage.completion_tokens // .error.message'
}
for model_name in $preset dolly; do same "chat with $model_name" 4 "$(answer $model_name)"; done

# --- served with the NF4 weights that the adapter met in its training -------------------------------
kairo apply -f - >/dev/null <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: as-trained}
data:
  inference_config.yaml: |
    vllm: {quantization: bitsandbytes}
---
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: server-nf4}
resource: {labelSelector: {matchLabels: {kubernetes.io/os: linux}}}
inference:
  preset: {name: $preset}
  config: as-trained
  adapters: [{source: {name: dolly, image: "localhost:$registry/adapters/phi-3-dolly:0.0.1", imagePullSecrets: [kairo-local-registry]}}]
YAML
holds "server-nf4: ready" timeout 60 kairo wait server-nf4
address=$(kairo get service server-nf4 -o json | jq -r '.metadata.annotations["kairo.dev/local-address"]')
same "/v1/models says NF4 of the matrices" "NF4, F32" "$(curl -s "http://$address/v1/models" | jq -r '.data[0].weights')"
becomes "and so does the Workspace" server-nf4 InferenceReady \
  "True WorkspaceInferenceStatusSuccess: Inference has been deployed successfully; weights in NF4"
for model_name in $preset dolly; do same "chat with $model_name, in NF4" 4 "$(answer $model_name)"; done
