// agents/local/apiserver/local_server.cpp - requests to calls of MemoryCluster, answers to JSON.
#include "agents/local/apiserver/local_server.h"

#include <httplib.h>

#include <atomic>
#include <thread>

#include "agents/cluster/json.h"
#include "agents/cluster/kinds.h"
#include "agents/cluster/rest.h"
#include "agents/local/apiserver/objects.h"
#include "agents/local/apiserver/rights.h"
#include "agents/local/apiserver/routes.h"

namespace kairo::cluster {
namespace {
constexpr std::size_t threads = 256;  // one per connection, watches included
constexpr std::int64_t bookmark_ms = 60'000;
constexpr const char* json_type = "application/json";

std::string list_json(const Kind& kind, const Listing& listing) {
  std::string out = "{\"apiVersion\":\"" + api_version(kind) + "\",\"items\":[";
  for (std::size_t i = 0; i < listing.items.size(); ++i)
    out += (i > 0 ? "," : "") + listing.items[i];
  return out + "],\"kind\":\"" + kind.kind + "List\",\"metadata\":{\"resourceVersion\":\"" +
         listing.resource_version + "\"}}";
}
std::string event_line(const char* type, const std::string& object) {
  return std::string("{\"type\":\"") + type + "\",\"object\":" + object + "}\n";
}
const char* type_name(Event::Type type) {
  switch (type) {
    case Event::Type::added:
      return "ADDED";
    case Event::Type::modified:
      return "MODIFIED";
    case Event::Type::deleted:
      return "DELETED";
    case Event::Type::bookmark:
      return "BOOKMARK";
  }
  return "ERROR";
}
std::string bookmark_json(const Kind& kind, const std::string& version) {
  return Json{{"apiVersion", api_version(kind)},
              {"kind", kind.kind},
              {"metadata", {{"resourceVersion", version}}}}
      .dump();
}
bool is_true(const std::string& value) {
  return value == "1" || value == "true";
}
}  // namespace

struct LocalServer::Impl {
  Impl(MemoryCluster& c, Users u) : cluster(c), users(std::move(u)) {}

  void fail(httplib::Response& res, int status, const std::string& reason,
            const std::string& message, const Route* route = nullptr) const {
    res.status = status;
    res.set_content(status_json(status, reason, message, route), json_type);
  }
  void answer(httplib::Response& res, const Result<std::string>& done, int good,
              const Route& route) const {
    if (!done.ok()) {
      const Answer a = answer_of(done.error());
      return fail(res, a.http_status, a.reason, done.error().what, &route);
    }
    res.status = good;
    res.set_content(done.value(), json_type);
  }

  void serve(const httplib::Request& req, httplib::Response& res);
  bool admit(const httplib::Request& req, httplib::Response& res, const Route& route) const;
  void read(const httplib::Request& req, httplib::Response& res, const Route& route);
  void write(const httplib::Request& req, httplib::Response& res, const Route& route,
             const std::string& user);
  void remove(const httplib::Request& req, httplib::Response& res, const Route& route);
  void watch(const httplib::Request& req, httplib::Response& res, const Route& route);
  void log(const httplib::Request& req, httplib::Response& res, const Route& route);

  MemoryCluster& cluster;
  const Users users;
  SystemClock clock;
  std::atomic<bool> is_stopping{false};
  httplib::Server server;
  std::thread listener;
  int port = 0;
};

void LocalServer::Impl::serve(const httplib::Request& req, httplib::Response& res) {
  if (req.path == "/healthz" || req.path == "/readyz" || req.path == "/livez") {
    res.set_content("ok", "text/plain");
    return;
  }
  const User* user = users.find(req.get_header_value("Authorization"));
  if (user == nullptr) return fail(res, 401, "Unauthorized", "Unauthorized");
  const std::string document = req.method == "GET" ? discovery(req.path) : "";
  if (!document.empty()) {
    res.set_content(document, json_type);
    return;
  }
  const auto route = route_of(req.path);
  if (!route) return fail(res, 404, "NotFound", "the server could not find the requested resource");
  if (!admit(req, res, *route)) return;
  if (req.has_param("dryRun"))
    return fail(res, 400, "BadRequest", "the local cluster has no dryRun");
  if (req.method == "GET") return read(req, res, *route);
  if (req.method == "DELETE") return remove(req, res, *route);
  write(req, res, *route, user->name);
}

bool LocalServer::Impl::admit(const httplib::Request& req, httplib::Response& res,
                              const Route& route) const {
  const User* user = users.find(req.get_header_value("Authorization"));
  const bool is_read = req.method == "GET";
  const bool may = is_read ? user->may_read(route.kind.plural)
                           : user->may_write(route.kind.plural, route.subresource);
  if (may) return true;
  std::string verb = "get";
  if (is_read && route.name.empty()) verb = req.has_param("watch") ? "watch" : "list";
  if (req.method == "POST") verb = "create";
  if (req.method == "PUT") verb = "update";
  if (req.method == "PATCH") verb = "patch";
  if (req.method == "DELETE") verb = "delete";
  const std::string what =
      route.kind.plural + (route.subresource.empty() ? "" : "/" + route.subresource);
  fail(res, 403, "Forbidden",
       resource_name(route.kind) + " \"" + route.name + "\" is forbidden: User \"" + user->name +
           "\" cannot " + verb + " resource \"" + what + "\" in API group \"" + route.kind.group +
           "\" in the namespace \"" + route.ns + "\"",
       &route);
  return false;
}

void LocalServer::Impl::read(const httplib::Request& req, httplib::Response& res,
                             const Route& route) {
  if (route.subresource == "log") return log(req, res, route);
  if (!route.name.empty())
    return answer(res, cluster.get({route.kind, route.ns, route.name}), 200, route);
  if (is_true(req.get_param_value("watch"))) return watch(req, res, route);
  const auto listing = cluster.list({route.kind, route.ns, req.get_param_value("labelSelector")});
  if (!listing.ok()) return answer(res, listing.error(), 200, route);
  res.set_content(list_json(route.kind, listing.value()), json_type);
}

void LocalServer::Impl::write(const httplib::Request& req, httplib::Response& res,
                              const Route& route, const std::string& user) {
  const std::string type = req.get_header_value("Content-Type");
  const std::string manager = req.get_param_value("fieldManager");
  WriteOptions options{manager.empty() ? user : manager, route.subresource, true};
  const Ref ref{route.kind, route.ns, route.name};
  if (req.method == "POST" && route.name.empty())
    return answer(res, cluster.create(route.kind, route.ns, req.body, options), 201, route);
  if (req.method == "PUT" && !route.name.empty())
    return answer(res, cluster.replace(ref, req.body, options), 200, route);
  if (req.method != "PATCH" || route.name.empty())
    return fail(res, 405, "MethodNotAllowed",
                "the server does not allow this method on the requested resource", &route);
  if (type.starts_with("application/apply-patch+yaml")) {
    options.manager = manager;
    options.force = is_true(req.get_param_value("force"));
    return answer(res, cluster.apply(ref, req.body, options), 200, route);
  }
  if (type.starts_with("application/merge-patch+json"))
    return answer(res, cluster.patch(ref, req.body, options), 200, route);
  fail(res, 415, "UnsupportedMediaType",
       "the body of the request was in an unknown format - accepted media types include: "
       "application/apply-patch+yaml, application/merge-patch+json",
       &route);
}

void LocalServer::Impl::remove(const httplib::Request& req, httplib::Response& res,
                               const Route& route) {
  if (route.name.empty())
    return fail(res, 405, "MethodNotAllowed", "delete one object at a time, by name", &route);
  RemoveOptions options;
  Json body = Json::object();
  if (!req.body.empty()) {
    auto parsed = parse_object(req.body, "DeleteOptions");
    if (!parsed.ok()) return answer(res, parsed.error(), 200, route);
    body = std::move(parsed).value();
  }
  options.uid = text(body, {"preconditions", "uid"});
  std::string policy = text(body, {"propagationPolicy"});
  if (policy.empty()) policy = req.get_param_value("propagationPolicy");
  if (policy == "Foreground") options.propagation = Propagation::foreground;
  if (policy == "Orphan") options.propagation = Propagation::orphan;
  options.now = integer(body, {"gracePeriodSeconds"}, 1) == 0;
  const Status done = cluster.remove({route.kind, route.ns, route.name}, options);
  if (!done.ok()) return answer(res, done.error(), 200, route);
  const Json status = {{"kind", "Status"},
                       {"apiVersion", "v1"},
                       {"status", "Success"},
                       {"details", {{"name", route.name}, {"kind", route.kind.plural}}}};
  res.set_content(status.dump(), json_type);
}

void LocalServer::Impl::watch(const httplib::Request& req, httplib::Response& res,
                              const Route& route) {
  struct Progress {
    Selection selection;
    std::string version;
    std::int64_t end_ms, spoke_ms;
  };
  const std::int64_t seconds =
      std::clamp(std::atoll(req.get_param_value("timeoutSeconds").c_str()), 0LL, 3600LL);
  const std::int64_t start = clock.monotonic_ms();
  Progress p{{route.kind, route.ns, req.get_param_value("labelSelector")},
             req.get_param_value("resourceVersion"),
             start + (seconds > 0 ? seconds : 1800) * 1000,
             start};
  std::string first;
  if (p.version.empty() || p.version == "0") {
    const auto listing = cluster.list(p.selection);
    if (!listing.ok()) return answer(res, listing.error(), 200, route);
    for (const std::string& item : listing.value().items) first += event_line("ADDED", item);
    p.version = listing.value().resource_version;
  }
  const auto provide = [this, p, first](std::size_t, httplib::DataSink& sink) mutable {
    if (!first.empty() && !sink.write(first.data(), first.size())) return false;
    first.clear();
    const std::int64_t now = clock.monotonic_ms();
    if (is_stopping || now >= p.end_ms) {
      sink.done();
      return true;
    }
    const auto found =
        cluster.watch(p.selection, p.version, std::min<std::int64_t>(1000, p.end_ms - now));
    std::string out;
    if (!found.ok()) {
      const Answer a = answer_of(found.error());
      out = event_line("ERROR", status_json(a.http_status, a.reason, found.error().what, nullptr));
      sink.write(out.data(), out.size());
      sink.done();
      return true;
    }
    for (const Event& event : found.value()) out += event_line(type_name(event.type), event.object);
    if (!found.value().empty())
      p.version = text(Json::parse(found.value().back().object), {"metadata", "resourceVersion"});
    if (out.empty() && now - p.spoke_ms >= bookmark_ms)
      out = event_line("BOOKMARK", bookmark_json(p.selection.kind, p.version));
    if (!out.empty()) p.spoke_ms = now;
    return sink.is_writable() && (out.empty() || sink.write(out.data(), out.size()));
  };
  res.set_chunked_content_provider(json_type, provide);
}

void LocalServer::Impl::log(const httplib::Request& req, httplib::Response& res,
                            const Route& route) {
  const Ref pod{route.kind, route.ns, route.name};
  const auto object = cluster.get(pod);
  if (!object.ok()) return answer(res, object, 200, route);
  std::string container = req.get_param_value("container");
  const Json parsed = Json::parse(object.value());
  const Json& containers = at(parsed, {"spec", "containers"});
  if (container.empty() && containers.is_array() && !containers.empty())
    container = text(containers[0], {"name"});
  std::uint64_t offset = std::strtoull(req.get_param_value(log_offset_query).c_str(), nullptr, 10);
  const auto now = cluster.log(pod, container, offset);
  if (!now.ok()) return answer(res, now, 200, route);
  res.set_header(log_offset_header, std::to_string(offset));
  const bool is_follow = is_true(req.get_param_value("follow"));
  const auto provide = [this, pod, container, offset, is_follow](std::size_t,
                                                                 httplib::DataSink& sink) mutable {
    const auto before = cluster.get(pod);  // first: what an ended pod said last is not missed
    const auto text_now = cluster.log(pod, container, offset);
    const std::string bytes = text_now.ok() ? text_now.value() : "";
    if (!bytes.empty()) {
      offset += bytes.size();
      return sink.write(bytes.data(), bytes.size());
    }
    const std::string phase =
        before.ok() ? text(Json::parse(before.value()), {"status", "phase"}) : "Failed";
    if (!is_follow || is_stopping || phase == "Failed" || phase == "Succeeded") {
      sink.done();
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return sink.is_writable();
  };
  res.set_chunked_content_provider("text/plain", provide);
}

LocalServer::LocalServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
int LocalServer::port() const {
  return impl_->port;
}

Result<std::unique_ptr<LocalServer>> LocalServer::start(MemoryCluster& cluster,
                                                        const std::string& tokens_file, int port) {
  auto impl = std::make_unique<Impl>(cluster, TRY(Users::load(tokens_file)));
  httplib::Server& server = impl->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(threads); };
  server.set_payload_max_length(object_bytes_max);
  server.set_tcp_nodelay(true);
  server.set_socket_options([](socket_t socket) {  // without httplib's SO_REUSEPORT: one owner
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.set_keep_alive_max_count(1 << 30);
  server.set_keep_alive_timeout(5);
  const auto handler = [raw = impl.get()](const httplib::Request& req, httplib::Response& res) {
    raw->serve(req, res);
  };
  server.Get(".*", handler);
  server.Post(".*", handler);
  server.Put(".*", handler);
  server.Patch(".*", handler);
  server.Delete(".*", handler);
  const bool is_bound = port == 0 ? (impl->port = server.bind_to_any_port("127.0.0.1")) > 0
                                  : server.bind_to_port("127.0.0.1", port);
  if (!is_bound)
    return Error{Code::unavailable, "the local cluster cannot listen on 127.0.0.1:" +
                                        std::to_string(port) + "; is another one running?"};
  if (port != 0) impl->port = port;
  impl->listener = std::thread([&server] { server.listen_after_bind(); });
  while (!server.is_running()) std::this_thread::yield();  // stop() works from here on
  return std::unique_ptr<LocalServer>(new LocalServer(std::move(impl)));
}

LocalServer::~LocalServer() {
  impl_->is_stopping = true;
  impl_->cluster.wake();
  impl_->server.stop();
  impl_->listener.join();
}
}  // namespace kairo::cluster
