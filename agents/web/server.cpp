// agents/web/server.cpp - the only file of the page's agent that knows cpp-httplib.
#include "agents/web/server.h"

#include <httplib.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "agents/web/guard.h"
#include "agents/web/objects.h"
#include "agents/web/page_files.h"
#include "agents/web/series.h"
#include "agents/web/viewers.h"

namespace kairo::web {
namespace {
using httplib::Request, httplib::Response;
// A stream has a thread while its viewer looks; the others are for short questions.
constexpr int streams_max = 32, threads = streams_max + 12;
constexpr std::size_t body_max = 1 << 20;
constexpr const char* json_type = "application/json";
constexpr const char* stream_type = "text/event-stream";
constexpr int not_found = 404, too_many = 503;

void say(Response& reply, int status, const std::string& text) {
  reply.status = status;
  reply.set_content(text.ends_with('\n') ? text : text + "\n", "text/plain; charset=utf-8");
}
int status_of(Code code) {
  if (code == Code::not_found) return not_found;
  return code == Code::invalid ? 400 : 503;
}
void answer(Response& reply, const Result<std::string>& got) {
  if (!got.ok()) return say(reply, status_of(got.error().code), got.error().what);
  reply.set_header("Cache-Control", "no-store");
  reply.set_content(got.value(), json_type);
}
Which which(const Request& asked) {
  return {asked.matches[1].str(), asked.matches[2].str()};
}
std::string framed(const FeedEvent& event) {
  return "id: " + event.id + "\nevent: " + event.kind + "\ndata: " + *event.data + "\n\n";
}

class HttpServer final : public Server {
 public:
  HttpServer(const ServerOptions& options, cluster::Cluster& cluster, Feed& feed,
             const Sight& sight, const Clock& clock, const std::atomic<bool>& stop)
      : options_(options),
        cluster_(cluster),
        feed_(feed),
        sight_(sight),
        clock_(clock),
        stop_(stop),
        guard_(options.token, options.hosts),
        viewers_(cluster, clock) {}
  ~HttpServer() override {
    stopping_ = true;
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
  Status listen();
  int port() const override { return port_; }

 private:
  bool is_over() const { return stop_ || stopping_; }
  Refusal refusal(const Request& asked);
  void serve_page();
  void serve_probes();
  void serve_objects();
  void stream(const Request& asked, Response& reply);
  void chat(const Request& asked, Response& reply);
  void pass_on(const std::string& base, const std::string& body, httplib::DataSink& sink) const;

  const ServerOptions options_;
  cluster::Cluster& cluster_;
  Feed& feed_;
  const Sight& sight_;
  const Clock& clock_;
  const std::atomic<bool>& stop_;
  const Guard guard_;
  Viewers viewers_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> streams_{0};
  httplib::Server server_;
  std::thread thread_;
  int port_ = 0;
};

Status HttpServer::listen() {
  server_.new_task_queue = [] { return new httplib::ThreadPool(threads); };
  server_.set_payload_max_length(body_max);
  server_.set_tcp_nodelay(true);
  server_.set_keep_alive_timeout(2);                // a connection that rests has a thread too
  server_.set_socket_options([](socket_t socket) {  // without httplib's SO_REUSEPORT: one owner
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  httplib::Headers headers;
  for (const auto& [name, value] : Guard::headers()) headers.emplace(name, value);
  server_.set_default_headers(headers);
  server_.set_pre_routing_handler([this](const Request& asked, Response& reply) {
    const Refusal no = refusal(asked);
    if (no.status == 0) return httplib::Server::HandlerResponse::Unhandled;
    say(reply, no.status, no.text);
    return httplib::Server::HandlerResponse::Handled;
  });
  server_.set_exception_handler([](const Request&, Response& reply, std::exception_ptr) {
    say(reply, 500, "an object has a form that nobody foresaw");  // not what() of others' words
  });
  serve_page();
  serve_probes();
  serve_objects();
  port_ = options_.port == 0 ? server_.bind_to_any_port(options_.address) : options_.port;
  if (port_ <= 0 || (options_.port != 0 && !server_.bind_to_port(options_.address, port_)))
    return Error{Code::unavailable, "listen on " + options_.address + ":" +
                                        std::to_string(options_.port) +
                                        ": the port is taken; choose another"};
  thread_ = std::thread([this] { server_.listen_after_bind(); });
  while (!server_.is_running()) std::this_thread::yield();  // stop() works from here on
  return ok();
}

Refusal HttpServer::refusal(const Request& asked) {
  const auto of = [&](const char* name) { return asked.get_header_value(name); };
  const std::string bearer = of("Authorization");
  const Refusal no = guard_.refusal(
      {asked.method, asked.path, of("Host"), bearer, of("Origin"), of("Sec-Fetch-Site")});
  const bool is_known = !options_.token.empty() || !asked.path.starts_with("/api/");
  if (no.status != 0 || is_known) return no;
  return viewers_.refusal(bearer.substr(bearer.find(' ') + 1), need_of(asked.path));
}

void HttpServer::serve_page() {
  if (page_files().empty())
    server_.Get("/", [](const Request&, Response& reply) {
      say(reply, not_found,
          "This kairo was built without its page (`make deps` fetches what it is bundled with); "
          "`kairo get workspaces -o wide` says the same.");
    });
  for (const PageFile& file : page_files())
    server_.Get(file.path, [&file](const Request& asked, Response& reply) {
      reply.set_header("ETag", file.etag);
      reply.set_header("Cache-Control", "no-cache");  // asked for again, and answered by 304
      if (asked.get_header_value("If-None-Match") == file.etag) {
        reply.status = 304;
        return;
      }
      reply.set_content(std::string(file.bytes), file.type);
    });
}
void HttpServer::serve_probes() {
  server_.Get("/healthz", [](const Request&, Response& reply) { say(reply, 200, "ok"); });
  server_.Get("/readyz", [this](const Request&, Response& reply) {
    const std::string trouble = sight_.trouble();
    say(reply, trouble.empty() ? 200 : 503, trouble.empty() ? "ok" : trouble);
  });
  server_.Get("/metrics", [this](const Request& asked, Response& reply) {
    std::string text =
        "# HELP kairo_web_viewers Streams that are open.\n# TYPE kairo_web_viewers gauge\n"
        "kairo_web_viewers " +
        std::to_string(streams_.load()) + "\n";
    // On a machine with several users names are for who has the token; a cluster has a policy.
    const bool may_see =
        !options_.is_local || guard_.has_token(asked.get_header_value("Authorization"));
    if (may_see) text += series_of(feed_.workspaces(), feed_.trains(), clock_.now_ms());
    reply.set_content(text, "text/plain; version=0.0.4");
  });
}
void HttpServer::serve_objects() {
  const std::string one = "/api/v1/workspaces/([^/]+)/([^/]+)";
  server_.Get("/api/v1/stream", [this](const Request& a, Response& r) { stream(a, r); });
  server_.Get("/api/v1/workspaces", [this](const Request&, Response& reply) {
    answer(reply, Result<std::string>("{\"items\":" + feed_.workspaces() + "}"));
  });
  server_.Get(one, [this](const Request& asked, Response& reply) {
    answer(reply, object_of(cluster_, which(asked)));
  });
  server_.Get(one + "/curve", [this](const Request& asked, Response& reply) {
    const auto uid = uid_of(cluster_, which(asked));
    if (!uid.ok()) return answer(reply, uid);
    const std::string curve = sight_.curve(uid.value());
    if (curve.empty()) return say(reply, not_found, "no step of this run is known yet");
    answer(reply, Result<std::string>(curve));
  });
  server_.Get(one + "/curve.bin", [this](const Request& asked, Response& reply) {
    const auto uid = uid_of(cluster_, which(asked));
    if (!uid.ok()) return answer(reply, uid);
    const std::string curve = sight_.curve_bytes(uid.value());
    if (curve.empty()) return say(reply, not_found, "no step of this run is known yet");
    reply.set_header("Cache-Control", "no-store");
    reply.set_content(curve, "application/octet-stream");
  });
  server_.Get(one + "/events", [this](const Request& asked, Response& reply) {
    answer(reply, events_of(cluster_, which(asked)));
  });
  server_.Get(one + "/log", [this](const Request& asked, Response& reply) {
    const auto offset = std::strtoull(asked.get_param_value("offset").c_str(), nullptr, 10);
    answer(reply,
           log_of(cluster_, which(asked),
                  {asked.get_param_value("pod"), asked.get_param_value("container"), offset}));
  });
  server_.Post("/api/v1/chat/([^/]+)/([^/]+)",
               [this](const Request& a, Response& r) { chat(a, r); });
}

void HttpServer::stream(const Request& asked, Response& reply) {
  if (streams_.fetch_add(1) >= streams_max) {
    --streams_;
    return say(reply, too_many, "too many viewers (" + std::to_string(streams_max) + ")");
  }
  reply.set_header("Cache-Control", "no-store");
  const auto id = std::make_shared<std::string>(asked.get_header_value("Last-Event-ID"));
  reply.set_chunked_content_provider(
      stream_type,
      [this, id, asked](std::size_t, httplib::DataSink& sink) {
        if (is_over() || !sink.is_writable()) return false;
        if (refusal(asked).status != 0) return false;  // a right may end while one looks
        std::string text;
        for (const FeedEvent& event : feed_.after(*id, std::chrono::milliseconds(500))) {
          text += framed(event);
          *id = event.id;
        }
        return text.empty() || sink.write(text.data(), text.size());
      },
      [this](bool) { --streams_; });
}

// Only to a server that the cluster names; never to an address of the browser's.
void HttpServer::chat(const Request& asked, Response& reply) {
  const auto base = server_of(cluster_, which(asked), options_.is_local);
  if (!base.ok()) return say(reply, status_of(base.error().code), base.error().what);
  const auto wish = nlohmann::json::parse(asked.body, nullptr, false);
  if (!wish.is_object() || !wish.contains("messages"))
    return say(reply, 400, "send a JSON object with model and messages");
  reply.set_header("Cache-Control", "no-store");
  reply.set_chunked_content_provider(stream_type, [this, at = base.value(), body = asked.body](
                                                      std::size_t, httplib::DataSink& sink) {
    pass_on(at, body, sink);
    sink.done();
    return true;
  });
}
void HttpServer::pass_on(const std::string& base, const std::string& body,
                         httplib::DataSink& sink) const {
  httplib::Client client(base);
  client.set_connection_timeout(2, 0);
  client.set_read_timeout(300, 0);  // a long prompt on few cores
  httplib::Request request;
  request.method = "POST";
  request.path = "/v1/chat/completions";
  request.headers = {{"Content-Type", json_type}};
  request.body = body;
  int status = 0;
  std::string refused;
  request.response_handler = [&](const Response& head) {
    status = head.status;
    return true;
  };
  // A browser that has gone ends the question, and with it the answer's making.
  request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    if (status == 200) return !is_over() && sink.write(data, size);
    refused.append(data,
                   std::min<std::size_t>(size, 4096 - std::min<std::size_t>(refused.size(), 4096)));
    return true;
  };
  const auto done = client.send(request);
  if (done && status == 200) return;
  std::string why = done ? "the server answers " + std::to_string(status) + ": " + refused
                         : "the server does not answer: " + httplib::to_string(done.error());
  const auto said = nlohmann::json::parse(refused, nullptr, false);
  const nlohmann::json::json_pointer at("/error/message");
  if (said.is_object() && said.contains(at) && said[at].is_string())
    why = said[at].get<std::string>();
  const nlohmann::json error = {{"error", {{"message", why}}}};
  const std::string text =
      "data: " + error.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n\n";
  sink.write(text.data(), text.size());
}
}  // namespace

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options,
                                              cluster::Cluster& cluster, Feed& feed,
                                              const Sight& sight, const Clock& clock,
                                              const std::atomic<bool>& stop) {
  auto server = std::make_unique<HttpServer>(options, cluster, feed, sight, clock, stop);
  TRY(server->listen());
  return std::unique_ptr<Server>(std::move(server));
}
}  // namespace kairo::web
