// gpu/serve/server.cpp - paths and guards; this and connection.cpp alone know cpp-httplib.
#include "gpu/serve/server.h"

#include <strings.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <random>
#include <thread>

#include "gpu/serve/connection.h"
#include "gpu/serve/event_stream.h"
#include "gpu/serve/metrics.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
constexpr std::size_t body_bytes_max = 4 << 20;
constexpr std::size_t body_bytes_skipped = 64 << 20;  // of one that is too large, to be heard out
constexpr int connections_waiting_max = 512;
constexpr const char* json = "application/json";
constexpr int client_closed_request = 499;  // nginx's number; only the metrics see it

void fail(httplib::Response& reply, const Error& error) {
  reply.status = http_status(error.code);
  if (error.code == Code::unavailable) reply.set_header("Retry-After", "1");
  reply.set_content(error_reply(error), json);
}

// The connection's last answer.
void close_after(httplib::Response& reply) {
  KeepingServer::connection().close_after_reply();
  reply.set_header("Connection", "close");
}

// The status of a request whose body could not be read safely; 0: it can.
int refused_form(const httplib::Request& request) {
  const std::string& method = request.method;
  const std::string coding = request.get_header_value("Transfer-Encoding");
  const bool has_length = request.has_header("Content-Length");
  if (method == "GET" || method == "HEAD" || method == "OPTIONS") return 0;
  if (method != "POST" && method != "PUT" && method != "PATCH" && method != "DELETE") return 405;
  const bool is_chunked = ::strcasecmp(coding.c_str(), "chunked") == 0;
  if (!coding.empty() && (has_length || !is_chunked)) return 400;  // two lengths: whose is right?
  if (!has_length && !is_chunked) return 411;
  if (has_length) {  // a body that would not even be skipped is refused before a byte of it comes
    const std::string length = request.get_header_value("Content-Length");
    std::size_t bytes = 0;
    const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bytes);
    if (error == std::errc::result_out_of_range) return 413;
    if (error != std::errc() || end != length.data() + length.size()) return 400;
    if (bytes > body_bytes_skipped) return 413;
  }
  return request.is_multipart_form_data() ? 415 : 0;
}

// All of a body, or the reply says why not.
bool read_body(const httplib::ContentReader& read, std::string& body, httplib::Response& reply) {
  std::size_t size = 0;
  const bool is_whole = read([&](const char* data, std::size_t count) {
    size += count;
    if (size <= body_bytes_max) body.append(data, count);
    return size <= body_bytes_skipped;
  });
  if (is_whole && size <= body_bytes_max) return true;
  if (size > body_bytes_max) reply.status = 413;
  if (!is_whole) close_after(reply);
  return false;
}

class HttpServer final : public Server {
 public:
  HttpServer(const ServerOptions& options, const Clock& clock)
      : options_(options),
        clock_(clock),
        created_s_(clock.now_ms() / 1000),
        run_(std::random_device{}()),
        http_(options.threads, options.idle) {}
  ~HttpServer() override {
    http_.stop_all();
    if (thread_.joinable()) thread_.join();
  }
  Status listen() {
    http_.set_payload_max_length(body_bytes_max);
    http_.set_tcp_nodelay(true);
    socket_t listener = INVALID_SOCKET;
    http_.set_socket_options([&](socket_t socket) {  // without httplib's SO_REUSEPORT: one owner
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      listener = socket;
    });
    add_guards();
    add_questions();
    add_state();
    add_rest();
    port_ = options_.port;
    if (port_ == 0) port_ = http_.bind_to_any_port(options_.host.c_str());
    const bool bound =
        options_.port == 0 ? port_ > 0 : http_.bind_to_port(options_.host.c_str(), port_);
    if (!bound)
      return Error{Code::unavailable, "cannot listen on " + options_.host + ":" +
                                          std::to_string(options_.port) +
                                          ": it is taken, or not an address of this machine"};
    // httplib lets five connections wait: a burst of clients would be reset.
    static_cast<void>(::listen(listener, connections_waiting_max));
    http_.set_socket_options({});
    thread_ = std::thread([this] { http_.listen_after_bind(); });
    while (!http_.is_running()) std::this_thread::yield();  // stop() works from here on
    return ok();
  }
  int port() const override { return port_; }
  void open(Service& service) override { service_ = &service; }

 private:
  using Handler = httplib::Server::HandlerResponse;
  using Parse = Result<Request> (*)(std::string_view, const Defaults&);

  // What the library does not check by itself: see docs/serving.md, "Limits".
  void add_guards() {
    http_.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& reply) {
      reply.status = refused_form(request);
      if (reply.status > 0) {
        close_after(reply);  // a body, if there is one, is not read
        return Handler::Handled;
      }
      reply.status = -1;
      if (request.method == "GET" &&
          (request.has_header("Content-Length") || request.has_header("Transfer-Encoding")))
        close_after(reply);  // httplib reads no body of a GET
      if (!request.ranges.empty()) {
        // Else the library cuts the error's body too. The object is its own and not const.
        const_cast<httplib::Request&>(request).ranges.clear();
        reply.status = 416;
        return Handler::Handled;
      }
      return Handler::Unhandled;
    });
    http_.set_error_handler(httplib::Server::HandlerWithResponse(
        [](const httplib::Request& request, httplib::Response& reply) {
          if (!reply.body.empty()) return Handler::Unhandled;
          std::string what = request.method + " " + request.path + ": ";
          if (reply.status == 404)
            what +=
                "no such path; there are POST /v1/chat/completions, /v1/completions, /chat and GET "
                "/v1/models, /v1/models/NAME, /health, /metrics, /version";
          else if (reply.status == 405)
            what += "no such method; there are GET and POST";
          else if (reply.status == 411)
            what += "the request needs a Content-Length, or Transfer-Encoding: chunked";
          else if (reply.status == 415)
            what += "the body must be JSON (Content-Type: application/json)";
          else if (reply.status == 413)
            what += "the body is larger than " + std::to_string(body_bytes_max >> 20) + " MiB";
          else
            what += "HTTP " + std::to_string(reply.status);
          const int status = reply.status;
          reply.set_content(error_reply({Code::invalid, what}), json);
          reply.status = status;
          return Handler::Handled;
        }));
    http_.set_exception_handler(
        // NOLINTNEXTLINE(performance-unnecessary-value-param): httplib's signature
        [](const httplib::Request& request, httplib::Response& reply, std::exception_ptr) {
          log::error("a request threw", {{"path", request.path}});
          fail(reply, {Code::corrupt, "internal error; see the server's log"});
        });
    http_.set_logger([this](const httplib::Request& request, const httplib::Response& reply) {
      metrics_.count(request.path, reply.status);
    });
  }

  void add_questions() {
    const auto post = [this](const char* path, Parse parse, const auto& answer_with) {
      http_.Post(path, [this, parse, answer_with](const httplib::Request& request,
                                                  httplib::Response& reply,
                                                  const httplib::ContentReader& read) {
        std::string body;
        if (!read_body(read, body, reply)) return;
        Service* service = service_;
        if (service == nullptr)
          return fail(reply, {Code::unavailable, "the model is being loaded; see GET /health"});
        const auto asked = parse(body, service->defaults());
        if (!asked.ok()) return fail(reply, asked.error());
        const auto answer = service->ask(asked.value());
        if (!answer.ok()) return fail(reply, answer.error());
        answer_with(asked.value(), answer.value(), request, reply);
      });
    };
    const auto openai = [this](Form form) {
      return [this, form](const Request& asked, const Answer& answer,
                          const httplib::Request& request, httplib::Response& reply) {
        const Reply with(form, next_id(form), answer.model, clock_.now_ms() / 1000);
        if (asked.stream) return stream(answer, with, asked.include_usage, request, reply);
        wait_for(answer, reply, [&](const std::string& text, const Completion::Piece& last) {
          return with.whole(text, *last.finish, {answer.prompt_tokens, last.tokens});
        });
      };
    };
    post("/v1/chat/completions", parse_chat_completion, openai(Form::chat));
    post("/v1/completions", parse_completion, openai(Form::completion));
    post("/chat", parse_kaito_chat,
         [this](const Request& asked, const Answer& answer, const httplib::Request&,
                httplib::Response& reply) {
           wait_for(answer, reply, [&](const std::string& text, const Completion::Piece&) {
             return kaito_reply(asked.return_full_text ? asked.prompt + text : text);
           });
         });
  }

  // A client that hangs up meanwhile frees its slot.
  template <class Build>
  void wait_for(const Answer& answer, httplib::Response& reply, const Build& build) {
    std::string text;
    Completion::Piece piece;
    do {
      if (KeepingServer::connection().has_gone()) {
        answer.completion->leave();
        reply.status = client_closed_request;
        return;
      }
      piece = answer.completion->next(options_.look_after);
      text += piece.text;
    } while (!piece.finish);
    if (const auto failure = failure_of(*piece.finish)) return fail(reply, *failure);
    reply.set_content(build(text, piece), json);
  }
  void stream(const Answer& answer, const Reply& with, bool include_usage,
              const httplib::Request& request, httplib::Response& reply) {
    reply.set_header("Cache-Control", "no-cache");
    reply.set_header("X-Accel-Buffering", "no");
    const auto events = std::make_shared<EventStream>(answer, with, include_usage);
    const auto write = [this, events](std::size_t, httplib::DataSink& sink) {
      const std::string text = events->next(options_.look_after);
      if (text.empty()) return sink.is_writable();  // httplib takes an empty write for the end
      if (!sink.write(text.data(), text.size())) return false;
      if (events->has_ended()) sink.done();
      return true;
    };
    if (request.version == "HTTP/1.0") {  // it knows no chunks: the end is the connection's
      close_after(reply);
      reply.set_content_provider("text/event-stream", write);
    } else {
      reply.set_chunked_content_provider("text/event-stream", write);
    }
  }

  void add_state() {
    http_.Get("/", [](const httplib::Request&, httplib::Response& reply) {
      reply.set_content("Server is running", "text/plain");
    });
    http_.Get("/health", [this](const httplib::Request&, httplib::Response& reply) {
      reply.status = service_ != nullptr ? 200 : 503;
      reply.set_content(service_ != nullptr ? R"({"status":"Healthy"})" : R"({"status":"Loading"})",
                        json);
    });
    http_.Get(
        "/v1/models(?:/(.+))?", [this](const httplib::Request& request, httplib::Response& reply) {
          const Service* service = service_;
          if (service == nullptr)
            return fail(reply, {Code::unavailable, "the model is being loaded; see GET /health"});
          if (!request.matches[1].matched)
            return reply.set_content(models_reply(service->models(), created_s_), json);
          const auto model = service->index_of(request.matches[1]);
          if (!model.ok()) return fail(reply, model.error());
          reply.set_content(model_reply(service->models(), model.value(), created_s_), json);
        });
    http_.Get("/metrics", [this](const httplib::Request&, httplib::Response& reply) {
      const Service* service = service_;
      reply.set_content(metrics_.text(service != nullptr ? service->counts() : SchedulerCounts{}),
                        "text/plain; version=0.0.4");
    });
    http_.Get("/version", [this](const httplib::Request&, httplib::Response& reply) {
      reply.set_content("{\"version\":\"" + options_.version + "\"}", json);
    });
  }

  // Paths that nobody serves: the body is heard out, so that the connection can go on.
  void add_rest() {
    const auto nothing = [](const httplib::Request&, httplib::Response& reply,
                            const httplib::ContentReader& read) {
      std::string body;
      if (read_body(read, body, reply)) reply.status = 404;
    };
    http_.Post(".*", nothing).Put(".*", nothing).Patch(".*", nothing).Delete(".*", nothing);
  }

  std::string next_id(Form form) {
    return (form == Form::chat ? "chatcmpl-" : "cmpl-") + std::to_string(run_) + "-" +
           std::to_string(++answers_);
  }

  const ServerOptions options_;
  const Clock& clock_;
  const std::int64_t created_s_;
  const std::uint32_t run_;  // makes ids differ from those before a restart
  std::atomic<std::uint64_t> answers_ = 0;
  std::atomic<Service*> service_ = nullptr;
  Metrics metrics_;
  KeepingServer http_;
  std::thread thread_;
  int port_ = 0;
};
}  // namespace

Result<std::unique_ptr<Server>> Server::listen(const ServerOptions& options, const Clock& clock) {
  auto server = std::make_unique<HttpServer>(options, clock);
  TRY(server->listen());
  return std::unique_ptr<Server>(std::move(server));
}
}  // namespace kairo::gpu
