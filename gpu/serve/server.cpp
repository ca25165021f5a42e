// gpu/serve/server.cpp - the only file of the server that knows cpp-httplib.
#include "gpu/serve/server.h"

#include <httplib.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "gpu/serve/caller.h"
#include "gpu/serve/event_stream.h"
#include "gpu/serve/metrics.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
constexpr std::size_t body_bytes_max = 4 << 20;
constexpr int connections_waiting_max = 512;
constexpr const char* json = "application/json";
constexpr int client_closed_request = 499;  // nginx's number; only the metrics see it

void fail(httplib::Response& reply, const Error& error) {
  reply.status = http_status(error.code);
  if (error.code == Code::unavailable) reply.set_header("Retry-After", "1");
  reply.set_content(error_reply(error), json);
}

class HttpServer final : public Server {
 public:
  HttpServer(const ServerOptions& options, const Clock& clock)
      : options_(options),
        clock_(clock),
        created_s_(clock.now_ms() / 1000),
        run_(std::random_device{}()) {}
  ~HttpServer() override {
    http_.stop();
    if (thread_.joinable()) thread_.join();
  }
  Status listen() {
    http_.new_task_queue = [n = options_.threads] { return new httplib::ThreadPool(n); };
    http_.set_payload_max_length(body_bytes_max);
    http_.set_tcp_nodelay(true);
    socket_t listener = INVALID_SOCKET;
    http_.set_socket_options([&](socket_t socket) {  // without httplib's SO_REUSEPORT: one owner
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      listener = socket;
    });
    http_.set_read_timeout(10, 0);
    http_.set_write_timeout(10, 0);
    add_guards();
    add_questions();
    add_state();
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
  using Parse = Result<Request> (*)(std::string_view);

  // What the library does not check by itself: see docs/serving.md, "Limits".
  void add_guards() {
    http_.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& reply) {
      if (request.method == "POST" && !request.has_header("Content-Length")) {
        reply.status = 411;
        reply.set_header("Connection", "close");
        return Handler::Handled;
      }
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
                "/v1/models, /health, /metrics, /version";
          else if (reply.status == 411)
            what += "the request needs a Content-Length";
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
                                                  httplib::Response& reply) {
        Service* service = service_;
        if (service == nullptr)
          return fail(reply, {Code::unavailable, "the model is being loaded; see GET /health"});
        const auto asked = parse(request.body);
        if (!asked.ok()) return fail(reply, asked.error());
        const auto answer = service->ask(asked.value());
        if (!answer.ok()) return fail(reply, answer.error());
        const Caller caller(request.remote_addr, request.remote_port);
        answer_with(asked.value(), answer.value(), caller, reply);
      });
    };
    const auto openai = [this](Form form) {
      return [this, form](const Request& asked, const Answer& answer, const Caller& caller,
                          httplib::Response& reply) {
        const Reply with(form, next_id(form), answer.model, clock_.now_ms() / 1000);
        if (asked.stream) return stream(answer, with, asked.include_usage, reply);
        wait_for(answer, caller, reply,
                 [&](const std::string& text, const Completion::Piece& last) {
                   return with.whole(text, *last.finish, {answer.prompt_tokens, last.tokens});
                 });
      };
    };
    post("/v1/chat/completions", parse_chat_completion, openai(Form::chat));
    post("/v1/completions", parse_completion, openai(Form::completion));
    post("/chat", parse_kaito_chat,
         [this](const Request& asked, const Answer& answer, const Caller& caller,
                httplib::Response& reply) {
           wait_for(answer, caller, reply, [&](const std::string& text, const Completion::Piece&) {
             return kaito_reply(asked.return_full_text ? asked.prompt + text : text);
           });
         });
  }

  // A client that hangs up meanwhile frees its slot.
  template <class Build>
  void wait_for(const Answer& answer, const Caller& caller, httplib::Response& reply,
                const Build& build) {
    std::string text;
    Completion::Piece piece;
    do {
      if (caller.has_gone()) {
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
              httplib::Response& reply) {
    reply.set_header("Cache-Control", "no-cache");
    reply.set_header("X-Accel-Buffering", "no");
    const auto events = std::make_shared<EventStream>(answer, with, include_usage);
    reply.set_chunked_content_provider(
        "text/event-stream", [this, events](std::size_t, httplib::DataSink& sink) {
          const std::string text = events->next(options_.look_after);
          if (text.empty()) return sink.is_writable();  // httplib takes an empty write for the end
          if (!sink.write(text.data(), text.size())) return false;
          if (events->has_ended()) sink.done();
          return true;
        });
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
    http_.Get("/v1/models", [this](const httplib::Request&, httplib::Response& reply) {
      const Service* service = service_;
      if (service == nullptr)
        return fail(reply, {Code::unavailable, "the model is being loaded; see GET /health"});
      reply.set_content(models_reply(service->models(), created_s_), json);
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
  httplib::Server http_;
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
