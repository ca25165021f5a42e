// agents/cluster/kubeconfig.cpp - one context of one or several files.
#include "agents/cluster/kubeconfig.h"

#include <filesystem>

#include "schemas/base/base64.h"
#include "schemas/yaml/yaml.h"

namespace kairo::cluster {
namespace {
using yaml::Value;

// An entry of a list of named things ({name: a, user: {...}}), and the file that it stands in.
struct Found {
  std::string kind, name, file;  // "user"
  const Value* fields = nullptr;
  std::string operator()(const std::string& why) const {
    return "kubeconfig " + file + ": " + kind + " \"" + name + "\": " + why;
  }
};
Error wrong(const std::string& what) {
  return {Code::invalid, what};
}
Result<std::string> field(const Found& in, const Value& map, const std::string& key,
                          const std::string& path) {
  const Value* value = map.find(key);
  if (value == nullptr || value->kind == Value::Kind::null) return std::string();
  if (value->kind == Value::Kind::text) return value->text;
  return wrong(in(path + key + " is no text; put it in quotes"));
}
Result<std::string> field(const Found& in, const std::string& key) {
  return field(in, *in.fields, key, "");
}
Result<bool> flag_in(const Found& in, const Value& map, const std::string& key,
                     const std::string& path = "") {
  const Value* value = map.find(key);
  if (value == nullptr || value->kind == Value::Kind::null) return false;
  if (value->kind == Value::Kind::boolean) return value->boolean;
  return wrong(in(path + key + " is neither true nor false"));
}
Result<std::string> data_in(const Found& in, const std::string& key) {
  const auto decoded = base64_decode(TRY(field(in, key)));
  if (!decoded.ok()) return wrong(in(key + " is not base64"));
  return decoded.value();
}
std::string beside(const std::string& file, const std::string& path) {
  if (path.empty()) return path;
  return (std::filesystem::path(file).parent_path() / path).lexically_normal().string();
}

struct Files {
  std::vector<std::pair<std::string, Value>> roots;  // by path
  std::string all() const {
    std::string out;
    for (const auto& [path, root] : roots) out += (out.empty() ? "" : ":") + path;
    return out;
  }
  // The first of that name; fields null: none has it. `names`: of those that are there.
  Found find(const std::string& kind, const std::string& name, std::string* names = nullptr) const {
    Found out{kind, name, all()};
    for (const auto& [path, root] : roots) {
      const Value* list = root.find(kind + "s");
      if (list == nullptr) continue;
      for (const Value& item : list->items) {
        const Value* own = item.find("name");
        const Value* fields = item.find(kind);
        if (own == nullptr || fields == nullptr) continue;
        if (names != nullptr) *names += (names->empty() ? "" : ", ") + own->text;
        if (own->text != name || out.fields != nullptr) continue;
        out.fields = fields;
        out.file = path;
      }
    }
    return out;
  }
};
Result<Files> read_files(const std::vector<KubeconfigFile>& files) {
  Files out;
  for (const KubeconfigFile& file : files) {
    auto documents = TRY(yaml::read(file.text, "kubeconfig " + file.path, yaml::Dialect::kubectl));
    if (documents.empty()) continue;
    if (documents.size() > 1 || documents.front().kind != Value::Kind::map)
      return wrong("kubeconfig " + file.path + ": not one YAML map");
    for (const char* list : {"clusters", "users", "contexts"}) {
      const Value* value = documents.front().find(list);
      if (value != nullptr && value->kind != Value::Kind::list && value->kind != Value::Kind::null)
        return wrong("kubeconfig " + file.path + ": " + list + " is no list");
    }
    out.roots.emplace_back(file.path, std::move(documents.front()));
  }
  return out;
}

Status read_cluster(const Found& in, KubeConfig& out, std::string& extra) {
  out.base_url = TRY(field(in, "server"));
  if (!out.base_url.starts_with("https://") && !out.base_url.starts_with("http://"))
    return wrong(in("server is \"" + out.base_url + "\"; use https://HOST:PORT"));
  while (out.base_url.ends_with('/')) out.base_url.pop_back();
  out.ca_pem = TRY(data_in(in, "certificate-authority-data"));
  if (out.ca_pem.empty()) out.ca_file = beside(in.file, TRY(field(in, "certificate-authority")));
  out.is_insecure = TRY(flag_in(in, *in.fields, "insecure-skip-tls-verify"));
  if (out.is_insecure && !(out.ca_pem + out.ca_file).empty())
    return wrong(in("insecure-skip-tls-verify and a certificate-authority; leave one out"));
  out.server_name = TRY(field(in, "tls-server-name"));
  out.proxy = TRY(field(in, "proxy-url"));
  if (!out.proxy.empty() && !out.proxy.starts_with("http://") &&
      !out.proxy.starts_with("https://") && !out.proxy.starts_with("socks5://") &&
      !out.proxy.starts_with("socks5h://"))
    return wrong(in("proxy-url begins with none of http://, https://, socks5://"));
  const Value* extensions = in.fields->find("extensions");
  if (extensions == nullptr) return ok();
  for (const Value& item : extensions->items) {
    const Value *name = item.find("name"), *value = item.find("extension");
    if (name != nullptr && value != nullptr && name->text == "client.authentication.k8s.io/exec")
      extra = yaml::to_json(*value);
  }
  return ok();
}

Result<ExecPlugin> read_plugin(const Found& in, const Value& exec, const std::string& extra) {
  ExecPlugin out;
  const auto text = [&](const char* key) { return field(in, exec, key, "exec."); };
  out.api_version = TRY(text("apiVersion"));
  const std::string group = "client.authentication.k8s.io/";
  if (out.api_version != group + "v1" && out.api_version != group + "v1beta1")
    return wrong(in("exec.apiVersion is \"" + out.api_version + "\"; use " + group + "v1 or " +
                    group + "v1beta1"));
  out.command = TRY(text("command"));
  if (out.command.empty()) return wrong(in("exec.command is empty; name the plugin's program"));
  if (out.command.find('/') != std::string::npos) out.command = beside(in.file, out.command);
  out.install_hint = TRY(text("installHint"));
  out.wants_cluster = TRY(flag_in(in, exec, "provideClusterInfo", "exec."));
  if (out.wants_cluster) out.cluster_extra = extra;
  const std::string mode = TRY(text("interactiveMode"));
  if (!mode.empty()) out.mode = mode;
  const bool is_mode = mode == "Never" || mode == "IfAvailable" || mode == "Always";
  if (!is_mode && !(mode.empty() && out.api_version == group + "v1beta1"))
    return wrong(in("exec.interactiveMode is \"" + mode + "\"; use Never, IfAvailable or Always"));
  if (const Value* args = exec.find("args"))
    for (const Value& arg : args->items) {
      if (arg.kind != Value::Kind::text) return wrong(in("exec.args has one that is no text"));
      out.args.push_back(arg.text);
    }
  if (const Value* env = exec.find("env"))
    for (const Value& item : env->items) {
      const std::string name = TRY(field(in, item, "name", "exec.env."));
      if (name.empty() || name.find('=') != std::string::npos)
        return wrong(in("exec.env has one without a name"));
      out.env.emplace_back(name, TRY(field(in, item, "value", "exec.env.")));
    }
  return out;
}

Status read_user(const Found& in, const std::string& extra, KubeConfig& out) {
  const auto has = [&](const char* key) {
    const Value* value = in.fields->find(key);
    return value != nullptr && value->kind != Value::Kind::null &&
           !(value->kind == Value::Kind::text && value->text.empty());
  };
  if (has("username") || has("password"))
    return wrong(
        in("has username and password, which API servers have not taken since Kubernetes "
           "1.19; use a token, a client certificate or an exec plugin"));
  if (has("auth-provider"))
    return wrong(in("has an auth-provider, which Kubernetes 1.26 dropped; use its exec plugin"));
  for (const char* key : {"as", "as-uid", "as-groups", "as-user-extra"})
    if (has(key))
      return wrong(in(std::string("has ") + key +
                      ": kairo does not impersonate; use a user with the rights that are meant"));
  out.token = TRY(field(in, "token"));
  if (out.token.find_first_of("\r\n") != std::string::npos)
    return wrong(in("token has a line break"));
  out.token_file = beside(in.file, TRY(field(in, "tokenFile")));
  out.cert_pem = TRY(data_in(in, "client-certificate-data"));
  out.key_pem = TRY(data_in(in, "client-key-data"));
  if (out.cert_pem.empty()) out.cert_file = beside(in.file, TRY(field(in, "client-certificate")));
  if (out.key_pem.empty()) out.key_file = beside(in.file, TRY(field(in, "client-key")));
  const bool has_cert = !(out.cert_pem + out.cert_file).empty();
  if (has_cert != !(out.key_pem + out.key_file).empty())
    return wrong(in(has_cert ? "has client-certificate and no client-key"
                             : "has client-key and no client-certificate"));
  const Value* exec = in.fields->find("exec");
  if (exec == nullptr || exec->kind == Value::Kind::null) return ok();
  if (!out.token.empty() || !out.token_file.empty()) return ok();  // as kubectl: it comes first
  out.exec = TRY(read_plugin(in, *exec, extra));
  return ok();
}
}  // namespace

Result<Target> resolve_kubeconfig(const std::vector<KubeconfigFile>& given,
                                  const std::string& context) {
  const Files files = TRY(read_files(given));
  Target out;
  out.context = context;
  for (const auto& [path, root] : files.roots) {
    const Value* current = root.find("current-context");
    if (out.context.empty() && current != nullptr) out.context = current->text;
  }
  std::string names;
  const Found of_context = files.find("context", out.context, &names);
  const std::string remedy = names.empty() ? "there is none" : "there are " + names;
  if (out.context.empty())
    return wrong("kubeconfig " + files.all() + ": no current-context; name one (" + remedy + ")");
  if (of_context.fields == nullptr)
    return wrong("kubeconfig " + files.all() + ": no context \"" + out.context + "\"; " + remedy);
  out.ns = TRY(field(of_context, "namespace"));
  const std::string cluster = TRY(field(of_context, "cluster")),
                    user = TRY(field(of_context, "user"));
  const Found of_cluster = files.find("cluster", cluster);
  if (of_cluster.fields == nullptr)
    return wrong(of_context("no cluster \"" + cluster + "\" is there; correct its cluster"));
  std::string extra;
  TRY(read_cluster(of_cluster, out.config, extra));
  if (user.empty()) return out;
  const Found of_user = files.find("user", user);
  if (of_user.fields == nullptr)
    return wrong(of_context("no user \"" + user + "\" is there; correct its user"));
  TRY(read_user(of_user, extra, out.config));
  return out;
}
}  // namespace kairo::cluster
