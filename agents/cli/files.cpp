// agents/cli/files.cpp - files, folders, and the objects in them.
#include "agents/cli/files.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agents/cli/printers.h"
#include "agents/cli/yaml.h"
#include "agents/cluster/kinds.h"

namespace kairo::cli {
namespace {
namespace fs = std::filesystem;
using Ordered = nlohmann::ordered_json;

// A name that YAML takes for a number or a switch, like `name: 007` or `kind: yes`.
Result<std::string> word_of(const Ordered& object, const char* key, const std::string& where) {
  if (!object.contains(key) || object[key].is_null()) return std::string();
  if (object[key].is_string()) return object[key].get<std::string>();
  const std::string shown = object[key].dump().substr(0, 60);
  return Error{Code::invalid, where + key + " must be a string, it is " + shown +
                                  (object[key].is_structured() ? "" : "; quote it")};
}

Result<cluster::Kind> kind_of(const Ordered& object, const std::string& file) {
  if (!object.is_object()) return Error{Code::invalid, file + ": an item of the List is no object"};
  const std::string kind = TRY(word_of(object, "kind", file + ": ")),
                    version = TRY(word_of(object, "apiVersion", file + ": "));
  if (kind.empty() || version.empty())
    return Error{Code::invalid, file + ": apiVersion and kind must be set"};
  for (cluster::Kind known : cluster::all_kinds) {
    if (known.kind != kind) continue;
    const std::string group = known.group.empty() ? "" : known.group + "/";
    if (version == group + known.version) return known;
    if (kind == "Workspace" && version == "kaito.sh/v1alpha1") {
      known.version = "v1alpha1";
      return known;
    }
  }
  return Error{Code::invalid, file + ": no matches for kind \"" + kind + "\" in version \"" +
                                  version + "\"; kairo knows: " + kind_words()};
}

// What `kubectl get -o json` gives: List, ConfigMapList and the like.
bool is_list(const Ordered& object) {
  return object.contains("kind") && object["kind"].is_string() &&
         object["kind"].get_ref<const std::string&>().ends_with("List") &&
         object.contains("items") && object["items"].is_array();
}

Result<Parsed> parse_object(Ordered object, const std::string& file,
                            const std::string& default_ns) {
  const cluster::Kind kind = TRY(kind_of(object, file));
  const std::string where = file + ": " + kind.kind + ": metadata.";
  if (!object.contains("metadata") || !object["metadata"].is_object())
    return Error{Code::invalid, where + "name must be set"};
  Ordered& meta = object["metadata"];
  const std::string name = TRY(word_of(meta, "name", where));
  if (name.empty()) return Error{Code::invalid, where + "name must be set"};
  std::string ns = TRY(word_of(meta, "namespace", where));
  // What the cluster keeps is not a wish: who applies a finalizer owns it, and it never goes.
  object.erase("status");
  for (const char* kept : {"uid", "resourceVersion", "generation", "creationTimestamp",
                           "deletionTimestamp", "managedFields", "finalizers"})
    meta.erase(kept);
  if (ns.empty()) ns = default_ns;
  if (kind.namespaced) meta["namespace"] = ns;
  return Parsed{{kind, kind.namespaced ? ns : "", name}, object.dump()};
}
}  // namespace

Result<std::string> read_file(const std::string& file) {
  std::string text;
  if (file == "-") {
    char block[16 << 10];
    for (ssize_t n = 0; (n = read(STDIN_FILENO, block, sizeof block)) != 0;) {
      if (n < 0) return Error{Code::not_found, "cannot read the standard input"};
      text.append(block, static_cast<std::size_t>(n));
    }
    return text;
  }
  std::ifstream in(file, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  if (!in)
    return Error{Code::not_found, "cannot read \"" + file + "\": no such file or no permission"};
  return all.str();
}

Result<std::vector<std::string>> files_named(const std::vector<std::string>& given) {
  std::vector<std::string> out;
  for (const std::string& name : given) {
    std::error_code error;
    if (!fs::is_directory(name, error)) {
      out.push_back(name);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(name, error)) {
      const std::string extension = entry.path().extension();
      if (extension == ".yaml" || extension == ".yml" || extension == ".json")
        found.push_back(entry.path());
    }
    if (found.empty())
      return Error{Code::invalid, name + ": no *.yaml, *.yml or *.json in this folder"};
    std::sort(found.begin(), found.end());
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

Result<std::vector<Parsed>> objects_in(const std::vector<std::string>& files,
                                       const std::string& default_ns) {
  std::vector<Parsed> out;
  for (const std::string& file : TRY(files_named(files))) {
    const std::string text = TRY(read_file(file));
    std::vector<Ordered> objects;
    for (const std::string& document : TRY(yaml_to_json(text, file))) {
      Ordered object = Ordered::parse(document);
      if (!is_list(object))
        objects.push_back(std::move(object));
      else
        for (Ordered& item : object["items"]) objects.push_back(std::move(item));
    }
    if (objects.empty()) return Error{Code::invalid, file + ": no objects in it"};
    for (Ordered& object : objects) {
      Parsed parsed = TRY(parse_object(std::move(object), file, default_ns));
      for (const Parsed& other : out)
        if (other.ref.kind.kind == parsed.ref.kind.kind && other.ref.ns == parsed.ref.ns &&
            other.ref.name == parsed.ref.name)
          return Error{Code::invalid, file + ": " + printed_name(parsed.ref) + " in namespace " +
                                          parsed.ref.ns +
                                          " stands twice; give one of them another name"};
      out.push_back(std::move(parsed));
    }
  }
  return out;
}

std::string printed_name(const cluster::Ref& ref) {
  std::string kind = ref.kind.kind;
  for (char& c : kind) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return kind + (ref.kind.group.empty() ? "" : "." + ref.kind.group) + "/" + ref.name;
}
}  // namespace kairo::cli
