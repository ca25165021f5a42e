// gpu/serve/server.cpp - paths and guards; this and connection.cpp alone know cpp-httplib.
#include "gpu/serve/server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <random>
#include <thread>

#include "gpu/serve/adapter_request.h"
#include "gpu/serve/connection.h"
#include "gpu/serve/event_stream.h"
#include "gpu/serve/metrics.h"
#include "gpu/serve/routes.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
constexpr int connections_waiting_max = 512;
constexpr const char* json = "application/json";
constexpr int client_closed_request = 499;  // nginx's number; only the metrics see it

void fail(httplib::Response& reply, const Error& error) {
  reply.status = http_status(error.code);
  if (error.code == Code::unavailable) reply.set_header("Retry-After", "1");
  reply.set_content(error_reply(error), json);
}

std::string what_of(const httplib::Request& request, const std::string& why) {
  // A first line that could not be read has no path.
  return (request.path.empty() ? "" : request.method + " " + request.path + ": ") + why;
}
void refuse(const httplib::Request& request, httplib::Response& reply, int status,
            const std::string& why) {
  reply.set_content(error_reply({Code::invalid, what_of(request, why)}), json);
  reply.status = status;
}

// The connection's last answer.
void close_after(httplib::Response& reply) {
  KeepingServer::connection().close_after_reply();
  reply.set_header("Connection", "close");
}

Head head_of(const httplib::Request& request) {
  const auto one = [&](const char* name) {
    return request.has_header(name) ? std::optional(request.get_header_value(name)) : std::nullopt;
  };
  return {request.method,
          request.path,
          one("Content-Length"),
          one("Transfer-Encoding"),
          request.get_header_value_count("Content-Length") > 1 ||
              request.get_header_value_count("Transfer-Encoding") > 1,
          request.is_multipart_form_data()};
}
void refuse(const httplib::Request& request, httplib::Response& reply, const Refusal& refusal) {
  if (!refusal.allow.empty()) reply.set_header("Allow", refusal.allow);
  refuse(request, reply, refusal.status, refusal.why);
}

// Why a body did not come whole.
void refuse_body(const httplib::Request& request, httplib::Response& reply, bool is_too_large) {
  const Connection& connection = KeepingServer::connection();
  close_after(reply);
  if (is_too_large)
    refuse(request, reply, 413,
           "the body is larger than " + std::to_string(body_bytes_max >> 20) + " MiB");
  else if (!connection.wrong_chunk().empty())
    refuse(request, reply, 400, "Transfer-Encoding: chunked: " + connection.wrong_chunk());
  else if (connection.is_late())
    refuse(request, reply, 408, "the body came too slowly; send all of it within 10 seconds");
  else if (const std::string coding = request.get_header_value("Content-Encoding"); !coding.empty())
    refuse(request, reply, reply.status == 415 ? 415 : 400,
           "Content-Encoding: the body could not be unpacked as " + coding +
               "; gzip, deflate and br are taken");
  else
    refuse(request, reply, 400, "the body ended before its end");
}

// All of a body, or the reply says why not.
bool read_body(const httplib::Request& request, const httplib::ContentReader& read,
               std::string& body, httplib::Response& reply) {
  bool is_too_large = false;
  const bool is_whole = read([&](const char* data, std::size_t count) {
    is_too_large = count > body_bytes_max - body.size();
    if (!is_too_large) body.append(data, count);
    return !is_too_large;
  });
  if (!is_whole) refuse_body(request, reply, is_too_large);
  return is_whole;
}

class HttpServer final : public Server {
 public:
  HttpServer(const ServerOptions& options, const Clock& clock)
      : options_(options),
        clock_(clock),
        created_s_(clock.now_ms() / 1000),
        run_(std::random_device{}()),
        http_(options.connections, clock) {}
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
    add_adapters();
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
    http_.set_pre_routing_handler([this](const httplib::Request& request,
                                         httplib::Response& reply) {
      reply.set_header("X-Request-Id", next_id("req-"));
      const Head head = head_of(request);
      if (!may_ask(options_.api_key, head.path, request.get_header_value("Authorization"))) {
        if (has_body(head)) close_after(reply);
        reply.status = 401;
        reply.set_header("WWW-Authenticate", "Bearer");
        reply.set_content(key_reply(), json);
        return Handler::Handled;
      }
      if (is_chunked(head)) KeepingServer::connection().expect_chunks();
      const bool is_read = has_body(head) && (head.method == "POST" || head.method == "PUT" ||
                                              head.method == "PATCH" || head.method == "DELETE");
      const auto refusal = refusal_of(head);
      if ((has_body(head) && !is_read) || (refusal && !refusal->can_go_on)) close_after(reply);
      if (refusal && is_read && refusal->can_go_on) return Handler::Unhandled;  // see add_rest
      if (refusal) {
        refuse(request, reply, *refusal);
        return Handler::Handled;
      }
      if (!request.ranges.empty()) {
        // Else the library cuts the error's body too. The object is its own and not const.
        const_cast<httplib::Request&>(request).ranges.clear();
        refuse(request, reply, 416, "a Range is not taken: ask for the whole");
        return Handler::Handled;
      }
      return Handler::Unhandled;
    });
    http_.set_error_handler(httplib::Server::HandlerWithResponse(
        [](const httplib::Request& request, httplib::Response& reply) {
          if (!reply.body.empty()) return Handler::Unhandled;
          const bool is_unread = reply.status == 400 || reply.status == 414;
          if (is_unread) close_after(reply);  // else its next line is read as a request
          refuse(request, reply, reply.status,
                 is_unread ? "the request's head is not HTTP/1.1, or longer than 8 KiB a line"
                           : "HTTP " + std::to_string(reply.status));
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

  // vLLM's: an adapter comes or goes while others are answered.
  void add_adapters() {
    const auto post = [this](const char* path, const auto& act) {
      http_.Post(path, [this, act](const httplib::Request& request, httplib::Response& reply,
                                   const httplib::ContentReader& read) {
        std::string body;
        if (!read_body(request, read, body, reply)) return;
        Result<std::string> done = Error{Code::unavailable, "the model is being loaded"};
        if (Service* service = service_; options_.adapters_below.empty())
          done = Error{Code::not_found,
                       "adapters cannot be loaded here: start kairo-serve with --runtime-adapters "
                       "FOLDER"};
        else if (service != nullptr)
          done = act(*service, body);
        if (done.ok()) return reply.set_content(done.value(), "text/plain");
        fail(reply, done.error());
        reply.set_content(adapter_error_reply(done.error()), json);
      });
    };
    post("/v1/load_lora_adapter",
         [this](Service& service, const std::string& body) -> Result<std::string> {
           const AdapterRequest asked = TRY(parse_load_adapter(body));
           const std::string folder = TRY(folder_below(options_.adapters_below, asked.path));
           TRY(service.load_adapter({asked.name, folder}, asked.in_place));
           log::info("an adapter is loaded", {{"adapter", asked.name}});
           return "Success: LoRA adapter '" + asked.name + "' added successfully.";
         });
    post("/v1/unload_lora_adapter",
         [](Service& service, const std::string& body) -> Result<std::string> {
           const AdapterRequest asked = TRY(parse_unload_adapter(body));
           TRY(service.unload_adapter(asked.name));
           log::info("an adapter is unloaded", {{"adapter", asked.name}});
           return "Success: LoRA adapter '" + asked.name + "' removed successfully.";
         });
  }

  void add_questions() {
    const auto post = [this](const char* path, Parse parse, const auto& answer_with) {
      http_.Post(path, [this, parse, answer_with](const httplib::Request& request,
                                                  httplib::Response& reply,
                                                  const httplib::ContentReader& read) {
        std::string body;
        if (!read_body(request, read, body, reply)) return;
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
        const Reply with(
            form, next_id(form == Form::chat ? "chatcmpl-" : "cmpl-"), answer.model,
            clock_.now_ms() / 1000,
            {asked.likely, asked.stream && asked.include_usage, !asked.tools.only.empty()});
        if (asked.stream) return stream(answer, with, request, reply);
        wait_for(answer, reply, [&](std::span<const Choice> choices, const Usage& usage) {
          return with.whole(choices, usage);
        });
      };
    };
    post("/v1/chat/completions", parse_chat_completion, openai(Form::chat));
    post("/v1/completions", parse_completion, openai(Form::completion));
    post("/chat", parse_kaito_chat,
         [this](const Request& asked, const Answer& answer, const httplib::Request&,
                httplib::Response& reply) {
           wait_for(answer, reply, [&](std::span<const Choice> choices, const Usage&) {
             const std::string& text = choices.front().text;
             return kaito_reply(asked.return_full_text ? asked.prompt + text : text);
           });
         });
  }

  // A client that hangs up meanwhile frees its slots, and so does an answer that fails.
  template <class Build>
  void wait_for(const Answer& answer, httplib::Response& reply, const Build& build) {
    std::vector<Choice> choices;
    Usage usage{answer.prompt_tokens};
    const auto leave = [&] {
      for (const auto& choice : answer.choices) choice->leave();
    };
    for (const auto& completion : answer.choices) {
      Choice choice;
      Completion::Piece piece;
      do {
        if (KeepingServer::connection().has_gone()) {
          leave();
          reply.status = client_closed_request;
          return;
        }
        piece = completion->next(options_.look_after);
        choice.text += piece.text;
        std::ranges::move(piece.shown, std::back_inserter(choice.shown));
        std::ranges::move(piece.calls, std::back_inserter(choice.calls));
      } while (!piece.finish);
      if (const auto failure = failure_of(*piece.finish)) {
        leave();
        return fail(reply, *failure);
      }
      choice.finish = *piece.finish;
      usage.answer_tokens += piece.tokens;
      if (choices.empty()) usage.cached_tokens = piece.cached_tokens;  // the prompt counts once
      choices.push_back(std::move(choice));
    }
    reply.set_content(build(choices, usage), json);
  }
  void stream(const Answer& answer, const Reply& with, const httplib::Request& request,
              httplib::Response& reply) {
    reply.set_header("Cache-Control", "no-cache");
    reply.set_header("X-Accel-Buffering", "no");
    const auto events = std::make_shared<EventStream>(answer, with);
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
    http_.Get("/v1/models(?:/(.+))?", [this](const httplib::Request& request,
                                             httplib::Response& reply) {
      const Service* service = service_;
      if (service == nullptr)
        return fail(reply, {Code::unavailable, "the model is being loaded; see GET /health"});
      if (!request.matches[1].matched)
        return reply.set_content(models_reply(service->models().all(), service->base(), created_s_),
                                 json);
      const auto model = service->models().find(request.matches[1]);
      if (!model.ok()) return fail(reply, model.error());
      reply.set_content(
          model_reply(model.value(), service->models().base(), service->base(), created_s_), json);
    });
    http_.Get("/metrics", [this](const httplib::Request&, httplib::Response& reply) {
      const Service* service = service_;
      const SchedulerCounts counts = service != nullptr ? service->counts() : SchedulerCounts{};
      std::string text = metrics_.text(counts);
      if (service != nullptr)
        text += Metrics::vllm_text(counts, service->timings(), service->models().all(),
                                   service->room(), clock_.now_ms() / 1000);
      reply.set_content(text, "text/plain; version=0.0.4");
    });
    http_.Get("/version", [this](const httplib::Request&, httplib::Response& reply) {
      reply.set_content("{\"version\":\"" + options_.version + "\"}", json);
    });
  }

  // Paths that nobody serves, and methods that a path does not take: the body is heard first, so
  // that the connection can go on.
  void add_rest() {
    const auto nothing = [](const httplib::Request& request, httplib::Response& reply,
                            const httplib::ContentReader& read) {
      std::string body;
      if (!read_body(request, read, body, reply)) return;
      refuse(request, reply, refusal_of(head_of(request)).value_or(Refusal{404, "no such path"}));
    };
    http_.Post(".*", nothing).Put(".*", nothing).Patch(".*", nothing).Delete(".*", nothing);
  }

  std::string next_id(const std::string& of) {
    return of + std::to_string(run_) + "-" + std::to_string(++ids_);
  }

  const ServerOptions options_;
  const Clock& clock_;
  const std::int64_t created_s_;
  const std::uint32_t run_;  // makes ids differ from those before a restart
  std::atomic<std::uint64_t> ids_ = 0;
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
