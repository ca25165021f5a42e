// tests/gpu/serve/server_test.cpp - the HTTP API of a real (tiny) model: what it answers, and that
// many clients get what one would get.
#include <thread>

#include "gpu/formats/files.h"
#include "tests/gpu/serve/server_bench.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;

TEST_CASE("before the model is loaded it says so; then it is healthy") {
  Bench bench;
  auto client = bench.client();
  CHECK(client.Get("/health")->status == 503);
  CHECK(client.Get("/health")->body == R"({"status":"Loading"})");
  CHECK(bench.message("/v1/chat/completions", question("a"), 503) ==
        "the model is being loaded; see GET /health");
  CHECK(client.Get("/metrics")->status == 200);
  bench.open();
  CHECK(client.Get("/health")->status == 200);
  CHECK(client.Get("/health")->body == R"({"status":"Healthy"})");
  CHECK(client.Get("/version")->body == R"({"version":"1.2.3"})");
  CHECK(client.Get("/")->body == "Server is running");
  CHECK(Json::parse(client.Get("/v1/models")->body)["data"][0]["id"] == "tiny");
}

TEST_CASE("what the weights are is said: as they are stored, or NF4 beside the embedding") {
  for (const auto& [weights, said] :
       {std::pair{ServedWeights::stored, "F32"}, {ServedWeights::nf4, "NF4, F32"}}) {
    Bench bench;
    bench.options.generator.weights = weights;
    bench.open();
    CHECK(Json::parse(bench.client().Get("/v1/models/tiny")->body)["weights"] == said);
    CHECK_FALSE(answer(bench, question("Who are you?")).empty());
  }
}

TEST_CASE("greedy answers repeat; a stream's pieces are the answer; usage counts") {
  Bench bench;
  bench.open();
  const std::string once = answer(bench, question("Who are you?"));
  CHECK(once == answer(bench, question("Who are you?")));
  CHECK_FALSE(once.empty());
  Json body = question("Who are you?");
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const auto reply = bench.post("/v1/chat/completions", body);
  REQUIRE(reply);
  CHECK(reply->get_header_value("Content-Type") == "text/event-stream");
  const auto events = events_of(reply->body);
  REQUIRE(events.size() >= 4);  // the role, text, the reason, the usage
  CHECK(events[0]["choices"][0]["delta"] ==
        Json{{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}});
  std::string joined;
  for (std::size_t i = 0; i + 2 < events.size(); ++i) {
    joined += events[i]["choices"][0]["delta"]["content"];
    CHECK(events[i]["choices"][0]["finish_reason"].is_null());
    CHECK(events[i]["id"] == events[0]["id"]);
  }
  CHECK(joined == once);
  CHECK(events[events.size() - 2]["choices"][0]["finish_reason"] == "length");
  CHECK(events.back()["choices"].empty());
  // <|im_start|> user \n Who_are_you? <|im_end|> \n <|im_start|> assistant \n, a token a byte.
  CHECK(events.back()["usage"] ==
        Json{{"prompt_tokens", 31},
             {"completion_tokens", 24},
             {"total_tokens", 55},
             {"prompt_tokens_details", {{"cached_tokens", 30}}}});  // asked before
  body.erase("stream_options");
  const auto without = bench.post("/v1/chat/completions", body);
  REQUIRE(without);
  CHECK_FALSE(events_of(without->body).back().contains("usage"));
}

TEST_CASE("a seed gives an answer again; a stop string ends it") {
  Bench bench;
  bench.open();
  Json body = question("dice", 40);
  body["temperature"] = 1;
  body["seed"] = 7;
  const std::string seven = answer(bench, body);
  CHECK(seven == answer(bench, body));
  body["seed"] = 8;
  CHECK(seven != answer(bench, body));
  const auto ask = [&](const Json& stop) {
    const auto reply = bench.post(
        "/v1/completions",
        {{"prompt", "abc"}, {"max_tokens", 40}, {"temperature", 1}, {"seed", 7}, {"stop", stop}});
    REQUIRE(reply);
    REQUIRE(reply->status == 200);
    return Json::parse(reply->body);
  };
  const std::string text = ask(nullptr)["choices"][0]["text"];
  std::size_t at = 5;  // a character of one byte in the middle that can be the stop
  while (at < text.size() && (text[at] <= ' ' || text[at] > '~')) ++at;
  REQUIRE(at < text.size());
  const Json cut = ask(text.substr(at, 1));
  CHECK(cut["choices"][0]["text"] == text.substr(0, text.find(text[at])));
  CHECK(cut["choices"][0]["finish_reason"] == "stop");
  CHECK(cut["usage"]["completion_tokens"].get<int>() < 40);
}

TEST_CASE("/chat and /v1/completions continue a prompt as it is") {
  Bench bench;
  bench.open();
  const auto chat = [&](bool full) {
    const auto reply =
        bench.post("/chat", {{"prompt", "abc"},
                             {"return_full_text", full},
                             {"generate_kwargs", {{"do_sample", false}, {"max_new_tokens", 8}}}});
    REQUIRE(reply);
    REQUIRE(reply->status == 200);
    return Json::parse(reply->body)["Result"].get<std::string>();
  };
  CHECK(chat(true) == "abc" + chat(false));
  const auto reply =
      bench.post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 8}, {"temperature", 0}});
  REQUIRE(reply);
  CHECK(Json::parse(reply->body)["choices"][0]["text"] == chat(false));
  CHECK(Json::parse(reply->body)["usage"] ==
        Json{{"prompt_tokens", 3},
             {"completion_tokens", 8},
             {"total_tokens", 11},
             {"prompt_tokens_details", {{"cached_tokens", 2}}}});
  const auto stream =
      bench.post("/v1/completions",
                 {{"prompt", "abc"}, {"max_tokens", 8}, {"temperature", 0}, {"stream", true}});
  REQUIRE(stream);
  std::string joined;
  for (const Json& event : events_of(stream->body)) joined += event["choices"][0]["text"];
  CHECK(joined == chat(false));
  // The same prompt as tokens: 'a' is token 'a' - '!'.
  const auto tokens =
      bench.post("/v1/completions",
                 {{"prompt", Json::array({64, 65, 66})}, {"max_tokens", 8}, {"temperature", 0}});
  REQUIRE(tokens);
  CHECK(Json::parse(tokens->body)["choices"][0]["text"] == chat(false));
  CHECK(bench.message("/chat", {{"prompt", "abc"}, {"generate_kwargs", {{"max_length", 2}}}}, 400)
            .starts_with("generate_kwargs.max_length counts the prompt too"));
}

TEST_CASE("sixteen clients at four slots: to each its own answer") {
  Bench bench(4);
  bench.open();
  std::vector<std::string> wanted(16), got(16);
  for (std::size_t i = 0; i < 16; ++i)
    wanted[i] = answer(bench, question(std::string(1 + i * 5, 'a') + "?", 12));
  std::vector<std::thread> clients;
  for (std::size_t i = 0; i < 16; ++i)
    clients.emplace_back([&, i] {
      const auto reply =
          bench.post("/v1/chat/completions", question(std::string(1 + i * 5, 'a') + "?", 12));
      if (reply && reply->status == 200)
        got[i] = Json::parse(reply->body)["choices"][0]["message"]["content"];
    });
  for (auto& client : clients) client.join();
  for (std::size_t i = 0; i < 16; ++i) {
    CAPTURE(i);
    CHECK(got[i] == wanted[i]);
  }
}

TEST_CASE("metrics: under vLLM's names too, each family with its type") {
  Bench bench;
  bench.open();
  answer(bench, question("ab", 5));
  const std::string of = "{model_name=\"tiny\",engine=\"0\"}";
  CHECK(bench.metric_when("vllm:generation_tokens_total" + of, 5) == 5);
  CHECK(bench.metric("vllm:prompt_tokens_total" + of) == 21);
  CHECK(bench.metric("vllm:num_requests_running" + of) == 0);
  CHECK(bench.metric("vllm:num_requests_waiting" + of) == 0);
  CHECK(bench.metric("vllm:time_to_first_token_seconds_count" + of) == 1);
  CHECK(bench.metric("vllm:inter_token_latency_seconds_count" + of) == 4);
  CHECK(bench.metric("vllm:request_prompt_tokens_sum" + of) == 21);
  const std::string text = bench.client().Get("/metrics")->body;
  CHECK(text.find("\n# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc" + of +
                  " 0") != std::string::npos);
  CHECK(text.find("\nvllm:cache_config_info{model_name=\"tiny\",engine=\"0\",block_size=\"256\","
                  "num_gpu_blocks=\"4\"} 1\n") != std::string::npos);
  CHECK(text.find("\nvllm:lora_requests_info{max_lora=\"0\",running_lora_adapters=\"\","
                  "waiting_lora_adapters=\"\"} 1") != std::string::npos);
}

TEST_CASE("a key is asked for by what asks the model, and by nothing else; each reply has an id") {
  Bench bench(4, ServerOptions().look_after, ConnectionLimits().patience, "secret");
  bench.open();
  httplib::Client client = bench.client();
  for (const char* open : {"/health", "/metrics", "/version", "/"}) {
    CAPTURE(open);
    CHECK(client.Get(open)->status == 200);
  }
  const std::string body = question("ab", 1).dump();
  for (const char* given : {"", "Bearer", "Bearer other!", "Bearer secret1", "Basic secret"}) {
    CAPTURE(given);
    const auto refused =
        client.Post("/v1/chat/completions", {{"Authorization", given}}, body, "application/json");
    REQUIRE(refused);
    CHECK(refused->status == 401);
    CHECK(refused->get_header_value("WWW-Authenticate") == "Bearer");
    CHECK(Json::parse(refused->body)["error"]["code"] == "invalid_api_key");
  }
  CHECK(client.Get("/v1/models")->status == 401);
  CHECK(client.Post("/chat", "{}", "application/json")->status == 401);
  const auto answered = client.Post("/v1/chat/completions", {{"Authorization", "bearer secret"}},
                                    body, "application/json");
  REQUIRE(answered);
  CHECK(answered->status == 200);
  const std::string id = answered->get_header_value("X-Request-Id");
  CHECK(id.starts_with("req-"));
  CHECK(client.Get("/health")->get_header_value("X-Request-Id") != id);
}

TEST_CASE("a prompt without room for an answer has the code that clients look for") {
  Bench bench;
  bench.open();
  const auto refused = bench.post("/v1/completions", {{"prompt", std::string(2000, 'a')}});
  REQUIRE(refused);
  CHECK(refused->status == 400);
  const Json error = Json::parse(refused->body)["error"];
  CHECK(error["code"] == "context_length_exceeded");
  CHECK(error["message"].get<std::string>().find("can have 256: shorten it") != std::string::npos);
}

TEST_CASE("metrics: every series, counted") {
  Bench bench;
  bench.open();
  answer(bench, question("ab", 5));  // a prompt of 21 tokens
  // Requests and batches are counted after the answer is given out: perhaps a moment later.
  const std::string chats =
      R"(kairo_serve_requests_total{path="/v1/chat/completions",status="200"})";
  CHECK(bench.metric_when(chats, 1) == 1);
  const auto metrics = bench.client().Get("/metrics");
  REQUIRE(metrics);
  CHECK(metrics->get_header_value("Content-Type") == "text/plain; version=0.0.4");
  CHECK(
      metrics->body.starts_with("# HELP kairo_serve_prompt_tokens_total Prompt tokens computed.\n"
                                "# TYPE kairo_serve_prompt_tokens_total counter\n"
                                "kairo_serve_prompt_tokens_total "));
  CHECK(metrics->body.find("\n# HELP kairo_serve_requests_total Requests answered.\n"
                           "# TYPE kairo_serve_requests_total counter\n"
                           "kairo_serve_requests_total{") != std::string::npos);
  CHECK(metrics->body.find("\n" + chats + " 1\n") != std::string::npos);
  CHECK(bench.metric_when("kairo_serve_answer_tokens_total", 5) == 5);
  CHECK(bench.metric("kairo_serve_running") == 0);
  CHECK(bench.metric("kairo_serve_prompt_tokens_total") == 21);
  CHECK(bench.metric("kairo_serve_prefix_cache_queries_total") == 21);
  CHECK(bench.metric("kairo_serve_prefix_cache_hits_total") == 0);
  CHECK(bench.metric("kairo_serve_batches_total") == 5);  // the prompt gives the first token
  CHECK(bench.metric("kairo_serve_waiting") == 0);
  CHECK(bench.metric("kairo_serve_absent") == -1);
}

TEST_CASE("the next turn of a chat computes what is new, and answers as a fresh server does") {
  Bench bench, fresh;
  bench.open();
  fresh.open();
  Json body = question("Who are you?", 12);
  const std::string first = answer(bench, body);
  body["messages"].push_back({{"role", "assistant"}, {"content", first}});
  body["messages"].push_back({{"role", "user"}, {"content", "And I?"}});
  const auto reply = bench.post("/v1/chat/completions", body);
  REQUIRE(reply);
  const Json got = Json::parse(reply->body);
  CHECK(got["choices"][0]["message"]["content"] == answer(fresh, body));
  CHECK(got["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>() >= 31);
  CHECK(bench.metric("kairo_serve_prefix_cache_hits_total") ==
        got["usage"]["prompt_tokens_details"]["cached_tokens"]);
}

// A client that hangs up without having been told anything: its slot is free long before the
// 2,000th token. It may be told everything if the test is held up meanwhile, but not every time.
TEST_CASE("who hangs up before the answer frees the slot, and waits no longer") {
  constexpr int all_tokens = 2000;
  bool cut_short = false;
  for (int attempt = 0; attempt < 5 && !cut_short; ++attempt) {
    Bench bench(1);
    bench.options.generator.context_tokens = 2048;
    bench.open();
    const std::string body = question("Who are you?", all_tokens).dump();
    const std::string request =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    for (int client = 0; client < 3; ++client) bench.hang_up_after(request);
    const std::string gone =
        R"(kairo_serve_requests_total{path="/v1/chat/completions",status="499"})";
    if (bench.metric_when(gone, 3) != 3) continue;
    CHECK(bench.metric_when("kairo_serve_running", 0) == 0);
    CHECK(bench.metric_when("kairo_serve_waiting", 0) == 0);
    cut_short = bench.metric("kairo_serve_answer_tokens_total") < all_tokens;
  }
  CHECK(cut_short);
}

TEST_CASE("text that becomes a token which the model has not is one request's error") {
  const TempFolder folder;
  REQUIRE(write_tiny_model(folder.path()).ok());
  const std::string path = folder.path() + "/tokenizer.json";
  Json tokenizer = Json::parse(read_file(path, 1 << 20).value());
  Json added = tokenizer["added_tokens"][0];
  added["id"] = 258;  // the model has 258 tokens
  added["content"] = "<|beyond|>";
  tokenizer["added_tokens"].push_back(added);
  tokenizer["model"]["vocab"]["<|beyond|>"] = 258;
  REQUIRE(write_file(path, tokenizer.dump()).ok());
  Bench bench;
  bench.options.generator.model_dir = folder.path();
  bench.open();
  const std::string why = "prompt: token 258 is not in the vocabulary of 258";
  CHECK(bench.message("/v1/completions", {{"prompt", "a<|beyond|>"}}, 400) == why);
  CHECK(bench.message("/v1/chat/completions", question("a<|beyond|>"), 400) == why);
  CHECK_FALSE(answer(bench, question("a")).empty());
}

TEST_CASE("an adapter is a model of its own, with its own answers") {
  const std::string folder = model_folder() + "/adapter";
  write_tiny_adapter(folder, 37);
  Bench bench;
  bench.options.generator.adapters = {{"pip", folder, 1.0f}, {"silent", folder, 0.0f}};
  bench.open();
  const Json models = Json::parse(bench.client().Get("/v1/models")->body)["data"];
  REQUIRE(models.size() == 3);
  CHECK(models[1]["id"] == "pip");
  CHECK(models[1]["parent"] == "tiny");
  const auto ask = [&](const std::string& model) {
    Json body = question("Who are you?");
    body["model"] = model;
    const auto reply = bench.post("/v1/chat/completions", body);
    REQUIRE(reply);
    const Json out = Json::parse(reply->body);
    CHECK(out["model"] == model);
    return out["choices"][0]["message"]["content"].get<std::string>();
  };
  CHECK(ask("pip") != ask("tiny"));
  CHECK(ask("silent") == ask("tiny"));
}
