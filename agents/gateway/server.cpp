// agents/gateway/server.cpp - cpp-httplib, told what it does not do by itself.
#include "agents/gateway/server.h"

#include <httplib.h>

#include <cctype>
#include <fstream>
#include <thread>

#include "schemas/base/clock.h"
#include "schemas/base/log.h"

namespace kairo::gateway {
namespace {
constexpr int connections_waiting_max = 512, read_s = 60, keep_alive_s = 10;
constexpr std::size_t piece_bytes = 256 << 10;
constexpr std::uint64_t drained_bytes_max = 1ULL << 30;
constexpr const char* form_type = "x-kairo-content-type";

bool is_loopback_name(std::string host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1) == "[::1]";
  host = host.substr(0, host.find(':'));
  return host == "localhost" || host == "127.0.0.1";
}

class Httplib final : public HttpServer {
 public:
  Httplib(ServerOptions options, Handlers handlers)
      : options_(std::move(options)), handlers_(std::move(handlers)) {}
  ~Httplib() override {
    http_.stop();
    if (thread_.joinable()) thread_.join();
  }
  int port() const override { return port_; }
  Status listen() {
    http_.new_task_queue = [n = options_.threads] {
      return new httplib::ThreadPool(static_cast<std::size_t>(n));
    };
    http_.set_tcp_nodelay(true);
    http_.set_read_timeout(read_s, 0);
    http_.set_write_timeout(read_s, 0);
    http_.set_keep_alive_max_count(1'000'000);
    http_.set_keep_alive_timeout(keep_alive_s);
    socket_t listener = INVALID_SOCKET;
    http_.set_socket_options([&](socket_t socket) {  // without httplib's SO_REUSEPORT: one owner
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      listener = socket;
    });
    add_handlers();
    port_ = options_.port;
    if (port_ == 0) port_ = http_.bind_to_any_port(options_.host.c_str());
    const bool is_bound =
        options_.port == 0 ? port_ > 0 : http_.bind_to_port(options_.host.c_str(), options_.port);
    if (!is_bound)
      return Error{Code::unavailable, "the gateway cannot listen on " + options_.host + ":" +
                                          std::to_string(options_.port) + ": it is taken"};
    static_cast<void>(::listen(listener, connections_waiting_max));
    http_.set_socket_options({});
    thread_ = std::thread([this] { http_.listen_after_bind(); });
    while (!http_.is_running()) std::this_thread::yield();
    return ok();
  }

 private:
  void add_handlers() {
    http_.set_pre_routing_handler([](const httplib::Request& request, httplib::Response&) {
      // The object is httplib's own and not const. What it would do by itself: read forms into
      // memory, wait for the body of a request that has none, compress small answers, cut ranges.
      auto& headers = const_cast<httplib::Request&>(request).headers;
      const std::string type = request.get_header_value("Content-Type");
      headers.erase("Content-Type");
      headers.emplace(form_type, type);
      headers.erase("Accept-Encoding");
      const_cast<httplib::Request&>(request).ranges.clear();
      const bool is_chunked =
          request.get_header_value("Transfer-Encoding").find("chunked") != std::string::npos;
      if (!is_chunked && !request.has_header("Content-Length"))
        headers.emplace("Content-Length", "0");
      return httplib::Server::HandlerResponse::Unhandled;
    });
    http_.Get(".*", [this](const httplib::Request& request, httplib::Response& response) {
      answer(request, response, nullptr);
    });
    const auto with_body = [this](const httplib::Request& request, httplib::Response& response,
                                  const httplib::ContentReader& reader) {
      answer(request, response, &reader);
    };
    http_.Post(".*", with_body);
    http_.Delete(".*", with_body);
    http_.Put(".*", with_body);
    http_.Patch(".*", with_body);
    http_.set_exception_handler(
        [](const httplib::Request& request, httplib::Response& response, std::exception_ptr why) {
          std::string what = "unknown";
          try {
            std::rethrow_exception(std::move(why));
          } catch (const std::exception& e) {
            what = e.what();
          } catch (...) {
          }
          log::error("a request threw", {{"path", request.path}, {"why", what}});
          send(reply(Refusal{500, "internal error; see the gateway's log", "", "", "server_error"}),
               response);
        });
    http_.set_error_handler(httplib::Server::HandlerWithResponse(
        [](const httplib::Request&, httplib::Response& response) {
          if (!response.body.empty() || response.has_header("X-Request-Id"))
            return httplib::Server::HandlerResponse::Unhandled;
          response.set_content(error_body({response.status, "the request is not HTTP/1.1"}),
                               "application/json");
          return httplib::Server::HandlerResponse::Handled;
        }));
  }

  Request request_of(const httplib::Request& given) const {
    Request out;
    out.method = given.method;
    out.path = split_path(given.target);
    out.query = parse_query(given.target);
    for (const auto& [name, value] : given.headers) {
      std::string lower = name;
      for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      out.headers.emplace(lower == form_type ? "content-type" : lower, value);
    }
    return out;
  }
  Reply reply_to(Request& request) {
    if (handlers_.is_open(request)) return handlers_.open(request);
    if (!options_.keys.may(request.header("authorization"), request.owner)) {
      Reply out = reply(Refusal{401,
                                "the API key is missing or wrong: send Authorization: Bearer "
                                "KEY",
                                "", "invalid_api_key"});
      out.headers.emplace_back("WWW-Authenticate", "Bearer");
      return out;
    }
    if (!options_.keys.any())
      if (const std::string why = page_refusal(request.header("host"), request.header("origin"));
          !why.empty())
        return reply(Refusal{403, why});
    return handlers_.api(request);
  }
  void answer(const httplib::Request& given, httplib::Response& response,
              const httplib::ContentReader* reader) {
    const std::int64_t begin_ms = clock_.monotonic_ms();
    Request request = request_of(given);
    bool was_read = reader == nullptr;
    if (reader != nullptr)
      request.read = [&](const Bytes& take) {
        was_read = true;
        return (*reader)([&](const char* data, std::size_t size) { return take({data, size}); });
      };
    const Reply out = reply_to(request);
    std::uint64_t drained = 0;  // else its bytes are read as the next request
    if (!was_read)
      (*reader)(
          [&](const char*, std::size_t size) { return (drained += size) <= drained_bytes_max; });
    response.set_header("X-Request-Id", "req_" + std::to_string(++requests_) + "-" + run_);
    response.set_header("openai-version", "2020-10-01");
    response.set_header("openai-processing-ms", std::to_string(clock_.monotonic_ms() - begin_ms));
    send(out, response);
  }
  static void send(const Reply& out, httplib::Response& response) {
    response.status = out.status;
    for (const auto& [name, value] : out.headers) response.set_header(name, value);
    if (out.stream) {
      response.set_chunked_content_provider(
          out.type, [stream = out.stream](std::size_t, httplib::DataSink& sink) {
            bool listens = true;
            stream([&](std::string_view bytes) {
              listens = sink.write(bytes.data(), bytes.size());
              return listens;
            });
            if (listens) sink.done();
            return listens;
          });
    } else if (!out.file.empty()) {
      send_file(out, response);
    } else {
      response.set_content(out.body, out.type);
    }
  }
  static void send_file(const Reply& out, httplib::Response& response) {
    const auto file = std::make_shared<std::ifstream>(out.file, std::ios::binary | std::ios::ate);
    if (!*file) {
      response.status = 404;
      response.set_content(error_body({404, "the file is gone"}), "application/json");
      return;
    }
    const auto size = static_cast<std::size_t>(file->tellg());
    if (size == 0) return response.set_content("", out.type);
    response.set_content_provider(
        size, out.type, [file](std::size_t offset, std::size_t length, httplib::DataSink& sink) {
          std::string piece(std::min(length, piece_bytes), '\0');
          file->seekg(static_cast<std::streamoff>(offset));
          file->read(piece.data(), static_cast<std::streamsize>(piece.size()));
          return file->gcount() > 0 &&
                 sink.write(piece.data(), static_cast<std::size_t>(file->gcount()));
        });
  }

  const ServerOptions options_;
  const Handlers handlers_;
  const SystemClock clock_;
  const std::string run_ = std::to_string(clock_.now_ms());
  std::atomic<std::uint64_t> requests_ = 0;
  httplib::Server http_;
  std::thread thread_;
  int port_ = 0;
};
}  // namespace

std::string page_refusal(const std::string& host, const std::string& origin) {
  const std::string remedy = "; start the gateway with openai-keys-file to let others ask it";
  if (!is_loopback_name(host))
    return "Host is \"" + host.substr(0, 100) + "\", which is no name of this machine" + remedy;
  if (origin.empty()) return "";
  const std::size_t scheme = origin.find("://");
  const bool is_own = scheme != std::string::npos && is_loopback_name(origin.substr(scheme + 3));
  return is_own ? "" : "Origin is \"" + origin.substr(0, 100) + "\", another site" + remedy;
}

Result<std::unique_ptr<HttpServer>> serve_http(ServerOptions options, Handlers handlers) {
  auto out = std::make_unique<Httplib>(std::move(options), std::move(handlers));
  TRY(out->listen());
  return std::unique_ptr<HttpServer>(std::move(out));
}
}  // namespace kairo::gateway
