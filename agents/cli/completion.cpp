// agents/cli/completion.cpp - what a shell offers after `kairo`. Names come from the cluster.
#include "agents/cli/cli.h"

namespace kairo::cli {
namespace {
constexpr const char* verbs =
    "up down status dashboard apply get describe logs wait chat delete events export explain "
    "estimate pull-model version completion files";
constexpr const char* kinds =
    "workspaces jobs pods services statefulsets configmaps secrets nodes events";
constexpr const char* bash =
    R"sh(_kairo_names() { kairo get "$1" -o name 2>/dev/null | sed 's|.*/||'; }
_kairo() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  case $COMP_CWORD,${COMP_WORDS[1]},$before in
    1,*) COMPREPLY=($(compgen -W "@verbs" -- "$word"));;
    *,-f | *,--filename) COMPREPLY=($(compgen -f -- "$word"));;
    2,get,* | 2,describe,* | 2,delete,*) COMPREPLY=($(compgen -W "@kinds" -- "$word"));;
    *,get,* | *,describe,* | *,delete,*)
      COMPREPLY=($(compgen -W "$(_kairo_names "${COMP_WORDS[2]}")" -- "$word"));;
    2,logs,* | 2,wait,* | 2,chat,* | 2,events,* | 2,export,*)
      COMPREPLY=($(compgen -W "$(_kairo_names workspaces)" -- "$word"));;
    2,completion,*) COMPREPLY=($(compgen -W "bash zsh" -- "$word"));;
    *) COMPREPLY=($(compgen -f -- "$word"));;
  esac
}
complete -o filenames -F _kairo kairo
)sh";
constexpr const char* zsh = R"sh(#compdef kairo
_kairo_names() { compadd -- ${(f)"$(kairo get $1 -o name 2>/dev/null | sed 's|.*/||')"} }
_kairo() {
  case $CURRENT,$words[2],$words[CURRENT-1] in
    2,*) compadd -- @verbs;;
    *,-f | *,--filename) _files;;
    3,get,* | 3,describe,* | 3,delete,*) compadd -- @kinds;;
    *,get,* | *,describe,* | *,delete,*) _kairo_names $words[3];;
    3,logs,* | 3,wait,* | 3,chat,* | 3,events,* | 3,export,*) _kairo_names workspaces;;
    3,completion,*) compadd -- bash zsh;;
    *) _files;;
  esac
}
compdef _kairo kairo
)sh";
void fill_in(std::string& text, const std::string& mark, const std::string& words) {
  for (std::size_t at; (at = text.find(mark)) != std::string::npos;)
    text.replace(at, mark.size(), words);
}
}  // namespace

std::string completion(const std::string& shell) {
  std::string out = shell == "zsh" ? zsh : bash;
  fill_in(out, "@verbs", verbs);
  fill_in(out, "@kinds", kinds);
  return out;
}
}  // namespace kairo::cli
