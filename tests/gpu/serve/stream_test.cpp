// What this proves: a streamed answer is whole however late its first token comes, and a client
// that goes meanwhile is noticed.
#include <future>

#include "gpu/serve/reply.h"
#include "tests/gpu/serve/server_bench.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;
namespace {
// A model that answers 'a' for ever, but nothing before the test says so.
class Gate {
 public:
  void shut() { opened_ = std::promise<void>(), open_ = opened_.get_future().share(); }
  void open() { opened_.set_value(); }
  void pass() const { open_.wait(); }

 private:
  std::promise<void> opened_;
  std::shared_future<void> open_;
} gate;
class LateGenerator final : public Generator {
 public:
  explicit LateGenerator(const GeneratorOptions& options)
      : tokens_(static_cast<std::size_t>(options.slots)), context_(options.context_tokens) {}
  Result<std::span<const float>> feed(std::span<const Feed> feeds) override {
    gate.pass();
    logits_.assign(feeds.size() * vocabulary, 0.0f);
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      auto& tokens = tokens_[static_cast<std::size_t>(feeds[i].slot)];
      tokens.insert(tokens.end(), feeds[i].tokens.begin(), feeds[i].tokens.end());
      logits_[i * vocabulary + ('a' - '!')] = 1;
    }
    return std::span<const float>(logits_);
  }
  std::span<const std::int32_t> tokens(int slot) const override {
    return tokens_[static_cast<std::size_t>(slot)];
  }
  int adapter(int) const override { return -1; }
  void cut(int slot, int length) override {
    tokens_[static_cast<std::size_t>(slot)].resize(static_cast<std::size_t>(length));
  }
  void copy(int, int, int) override {}  // it has one slot
  int turns_at() const override { return context_; }
  Result<ServedAdapterPtr> read(const AdapterSource& source) const override {
    return Error{Code::not_found, source.name};
  }
  int add(ServedAdapterPtr) override { return -1; }
  void drop(int) override {}
  int slots() const override { return static_cast<int>(tokens_.size()); }
  int context_tokens() const override { return context_; }
  int vocab() const override { return vocabulary; }

 private:
  static constexpr int vocabulary = 258;
  std::vector<std::vector<std::int32_t>> tokens_;
  int context_;
  std::vector<float> logits_;
};
Result<std::unique_ptr<Generator>> load_late(const GeneratorOptions& options) {
  return std::unique_ptr<Generator>(std::make_unique<LateGenerator>(options));
}
struct LateBench : Bench {
  LateBench() : Bench(1, std::chrono::milliseconds(1)) {
    gate.shut();
    service = Service::load(options, &load_late).value();
    server->open(*service);
  }
  // Asks, and lets the model begin as soon as the client has been told that it must wait.
  std::string stream(const std::string& path, const Json& body) const {
    std::string out;
    bool waits = true;
    httplib::Request request;
    request.method = "POST";
    request.path = path;
    request.body = body.dump();
    request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t,
                                   std::uint64_t) {
      out.append(data, size);
      if (waits && out.find(stream_comment) != std::string::npos) gate.open();
      waits = waits && out.find(stream_comment) == std::string::npos;
      return true;
    };
    const auto reply = client().send(request);
    REQUIRE_MESSAGE(reply, "the stream was torn; so far: " << out);
    CHECK(reply->status == 200);
    return out;
  }
};
std::string without_comments(std::string body) {
  const std::string comment = stream_comment;
  for (std::size_t at; (at = body.find(comment)) != std::string::npos;)
    body.erase(at, comment.size());
  return body;
}
}  // namespace

TEST_CASE("the first token comes late: all events, then [DONE]") {
  const Json completion = {
      {"prompt", "x"}, {"max_tokens", 3}, {"temperature", 0}, {"stream", true}};
  Json chat = question("x", 3);
  chat["stream"] = true;
  struct Row {
    std::string path;
    Json body;
    std::string text_at;
  };
  const Row rows[] = {{"/v1/completions", completion, "/choices/0/text"},
                      {"/v1/chat/completions", chat, "/choices/0/delta/content"}};
  for (const Row& row : rows) {
    CAPTURE(row.path);
    const LateBench bench;
    const std::string body = bench.stream(row.path, row.body);
    CHECK(body.find(stream_comment) != std::string::npos);  // it was late indeed
    std::string text;
    const auto events = events_of(without_comments(body));
    for (const Json& event : events)
      text += event.value(Json::json_pointer(row.text_at), std::string());
    CHECK(text == "aaa");
    CHECK(events.back()["choices"][0]["finish_reason"] == "length");
  }
}

TEST_CASE("who hangs up before the first token frees the slot") {
  const LateBench bench;
  const Json body = {{"prompt", "x"}, {"max_tokens", 200}, {"stream", true}};
  const std::string request = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                              std::to_string(body.dump().size()) + "\r\n\r\n" + body.dump();
  CHECK(bench.raw(request).starts_with("HTTP/1.1 200"));
  // Counted when the stream is over, which is before any token: the model still waits.
  const std::string done = R"(kairo_serve_requests_total{path="/v1/completions",status="200"})";
  CHECK(bench.metric_when(done, 1) == 1);
  gate.open();
  CHECK(bench.metric_when("kairo_serve_running", 0) == 0);
  CHECK(bench.metric("kairo_serve_answer_tokens_total") < 200);
}
