// gpu/serve/request.cpp
#include "gpu/serve/request.h"

#include <charconv>
#include <cmath>

#include "gpu/serve/fields.h"

namespace kairo::gpu {
namespace {
using Json = nlohmann::json;
constexpr std::size_t stops_max = 16, stop_bytes_max = 1024, biases_max = 1024;
constexpr int choices_max = 128, likely_max = 20;

Result<Json> parse_object(std::string_view body) {
  auto parsed = parse_json_object(body);
  if (!parsed.ok()) return bad("the body", parsed.error().what);
  return parsed;
}

void read_seed(const Json& object, Fields& fields, Request& out) {
  if (is_absent(object, "seed")) return;
  if (!object["seed"].is_number_integer()) return fields.wrong("seed", "must be a whole number");
  out.seed = object["seed"].get<std::uint64_t>();
}

void read_stop(const Json& object, Fields& fields, Request& out) {
  if (is_absent(object, "stop")) return;
  const Json list = object["stop"].is_array() ? object["stop"] : Json::array({object["stop"]});
  if (list.size() > stops_max)
    return fields.wrong("stop", "can have " + std::to_string(stops_max) + " strings");
  for (const Json& stop : list) {
    if (!stop.is_string() || stop.get_ref<const std::string&>().empty() ||
        stop.get_ref<const std::string&>().size() > stop_bytes_max)
      return fields.wrong("stop", "must be a string or a list of strings, none of them empty");
    out.stop.push_back(stop.get<std::string>());
  }
}

// What the APIs of OpenAI and vLLM have, we have not, and an answer would differ by. Only the value
// that means "without it" passes.
void refuse_unsupported(const Json& object, Fields& fields) {
  const Json none = Json::array();
  const std::pair<const char*, Json> neutral[] = {{"min_tokens", 0},
                                                  {"ignore_eos", false},
                                                  {"stop_token_ids", none},
                                                  {"bad_words", none},
                                                  {"allowed_token_ids", none},
                                                  {"logits_processors", none},
                                                  {"include_stop_str_in_output", false},
                                                  {"skip_special_tokens", true},
                                                  {"spaces_between_special_tokens", true},
                                                  {"truncate_prompt_tokens", nullptr},
                                                  {"prompt_logprobs", nullptr},
                                                  {"use_beam_search", false},
                                                  {"length_penalty", 1},
                                                  {"structured_outputs", nullptr},
                                                  {"echo", false}};
  for (const auto& [key, value] : neutral) fields.only(key, value);
  for (const auto& item : object.items())
    if (item.key().starts_with("guided_")) fields.only(item.key().c_str(), nullptr);
}

// {"50256": -100}: what is added to a token's logit.
void read_biases(const Json& object, Fields& fields, Request& out) {
  if (is_absent(object, "logit_bias")) return;
  const Json& biases = object["logit_bias"];
  const char* form = "must be an object of token numbers and biases from -100 to 100";
  if (!biases.is_object()) return fields.wrong("logit_bias", form);
  if (biases.size() > biases_max)
    return fields.wrong("logit_bias", "can have " + std::to_string(biases_max) + " tokens");
  for (const auto& [key, value] : biases.items()) {
    std::int32_t token = -1;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), token);
    if (read.ec != std::errc() || read.ptr != key.data() + key.size() || token < 0 ||
        !value.is_number() || std::abs(value.get<double>()) > 100)
      return fields.wrong("logit_bias", form);
    out.sampling.biases.emplace_back(token, value.get<float>());
  }
}

// The schema that an answer must validate against, with its members in the order of the body.
void read_format(const Json& object, std::string_view body, Fields& fields, Request& out) {
  if (is_absent(object, "response_format")) return;
  const Json& format = object["response_format"];
  const std::string type =
      format.is_object() && format.contains("type") && format["type"].is_string()
          ? format["type"].get<std::string>()
          : "";
  if (type == "text") return;
  if (type == "json_object") {
    out.schema = R"({"type":"object"})";
    return;
  }
  if (type != "json_schema")
    return fields.wrong("response_format",
                        "must be {\"type\": \"text\"}, {\"type\": \"json_object\"} or {\"type\": "
                        "\"json_schema\", \"json_schema\": {\"name\": ..., \"schema\": {...}}}");
  const Json named = format.value("json_schema", Json());
  if (!named.is_object() || !named.contains("schema") || !named["schema"].is_object())
    return fields.wrong(
        "response_format",
        "of type json_schema needs json_schema: {\"name\": ..., \"schema\": {...}}");
  const auto ordered = nlohmann::ordered_json::parse(body);  // as object was, within its limits
  out.schema = ordered["response_format"]["json_schema"]["schema"].dump();
}

// What both OpenAI requests have in common.
void read_shared(const Json& object, std::string_view body, Fields& fields, Request& out) {
  fields.text("model", out.model);
  read_sampling(fields, out.sampling);
  fields.number("presence_penalty", out.sampling.presence_penalty, -2, 2);
  fields.number("frequency_penalty", out.sampling.frequency_penalty, -2, 2);
  fields.integer("max_tokens", out.max_tokens, 1, tokens_max);
  fields.flag("stream", out.stream);
  read_seed(object, fields, out);
  read_stop(object, fields, out);
  fields.integer("n", out.choices, 1, choices_max);
  if (!is_absent(object, "best_of") && object["best_of"] != out.choices)
    fields.wrong("best_of", "is not supported here: leave it out");
  read_biases(object, fields, out);
  read_format(object, body, fields, out);
  refuse_unsupported(object, fields);
  if (!is_absent(object, "stream_options")) {
    if (!object["stream_options"].is_object())
      return fields.wrong("stream_options", "must be an object");
    Fields options(object["stream_options"], "stream_options.");
    options.flag("include_usage", out.include_usage);
    if (!options.status().ok()) fields.wrong("stream_options", "must be {\"include_usage\": true}");
  }
}

// The parts of a message's content that are text, joined; the templates want one string.
Result<std::string> content_of(const Json& content, const std::string& at) {
  if (content.is_null()) return std::string();
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return bad(at, "must be a string or a list of text parts");
  std::string out;
  for (const Json& part : content) {
    if (!part.is_object() || part.value("type", Json()) != "text" || !part.contains("text") ||
        !part["text"].is_string())
      return bad(at, "has a part that is not text (it is " + shown(part) +
                         "): only {\"type\": \"text\", \"text\": ...} is supported");
    out += part["text"].get<std::string>();
  }
  return out;
}

// A client sends an answer back as it came, with a null for every member that it does not have.
Json without_nulls(const Json& message) {
  Json out = Json::object();
  for (const auto& [key, value] : message.items())
    if (!value.is_null()) out[key] = value;
  return out;
}
// OpenAI's arguments are JSON in a string; templates want the object, as vLLM gives it to them.
Status read_calls(Json& message, const std::string& at) {
  if (!message.contains("tool_calls")) return ok();
  Json& calls = message["tool_calls"];
  if (!calls.is_array()) return bad(at + ".tool_calls", "must be a list");
  if (calls.empty()) {
    message.erase("tool_calls");
    return ok();
  }
  for (Json& call : calls) {
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object())
      return bad(at + ".tool_calls", "must be a list of {\"function\": {...}}");
    Json& function = call["function"];
    if (is_absent(function, "arguments") || !function["arguments"].is_string()) continue;
    const std::string text = function["arguments"].get<std::string>();
    const auto arguments = parse_json_object(text.empty() ? "{}" : text);
    if (!arguments.ok()) return bad(at + ".tool_calls: function.arguments", arguments.error().what);
    function["arguments"] = arguments.value();
  }
  return ok();
}

Result<std::string> messages_of(const Json& object) {
  if (is_absent(object, "messages"))
    return bad("messages", "is missing: a list of {\"role\", \"content\"}");
  const Json& list = object["messages"];
  if (!list.is_array() || list.empty())
    return bad("messages", "must be a list with at least one {\"role\", \"content\"}");
  Json out = Json::array();
  for (const Json& message : list) {
    const std::string at = "messages[" + std::to_string(out.size()) + "]";
    if (!message.is_object()) return bad(at, "must be an object with role and content");
    if (is_absent(message, "role") || !message["role"].is_string())
      return bad(at + ".role", "must be system, user or assistant");
    Json clean = without_nulls(message);
    TRY(read_calls(clean, at));
    // Absent, as beside tool_calls, is empty: many templates join it to something.
    clean["content"] = TRY(content_of(clean.value("content", Json()), at + ".content"));
    out.push_back(std::move(clean));
  }
  return out.dump();
}
}  // namespace

Result<Request> parse_chat_completion(std::string_view body, const Defaults& defaults) {
  const Json object = TRY(parse_object(body));
  Request out;
  out.sampling = defaults.sampling;
  out.max_tokens = defaults.max_tokens;
  Fields fields(object);
  read_shared(object, body, fields, out);
  fields.integer("max_completion_tokens", out.max_tokens, 1, tokens_max);
  bool wants_logprobs = false;
  fields.flag("logprobs", wants_logprobs);
  if (wants_logprobs) out.likely = 0;
  int best = 0;
  fields.integer("top_logprobs", best, 0, likely_max);
  if (best > 0 && !wants_logprobs)
    fields.wrong("top_logprobs", "needs \"logprobs\": true beside it");
  if (best > 0) out.likely = best;
  fields.only("functions", Json::array());
  fields.only("chat_template", nullptr);
  if (!is_absent(object, "chat_template_kwargs")) {
    if (!object["chat_template_kwargs"].is_object())
      fields.wrong("chat_template_kwargs", "must be an object of the template's variables");
    out.template_variables = object["chat_template_kwargs"].dump();
  }
  fields.only("documents", Json::array());
  fields.only("continue_final_message", false);
  fields.only("add_generation_prompt", true);
  fields.only("add_special_tokens", false);
  TRY(fields.status());
  if (!is_absent(object, "tools") || !is_absent(object, "tool_choice"))  // it reads the body again
    out.tools = TRY(read_tools(body));
  if (out.tools.use == ToolUse::required && !out.schema.empty())
    return bad("response_format", "cannot be there where a function must be called (tool_choice)");
  out.messages = TRY(messages_of(object));
  return out;
}

Result<Request> parse_completion(std::string_view body, const Defaults& defaults) {
  const Json object = TRY(parse_object(body));
  Request out;
  out.sampling = defaults.sampling;
  out.max_tokens = 16;  // OpenAI's default
  Fields fields(object);
  read_shared(object, body, fields, out);
  fields.only("suffix", "");
  fields.integer("logprobs", out.likely, 0, likely_max);
  fields.only("top_logprobs", 0);
  fields.only("add_special_tokens", true);
  TRY(fields.status());
  if (is_absent(object, "prompt")) return bad("prompt", "is missing: a string");
  Json prompt = object["prompt"];
  if (prompt.is_array() && prompt.size() == 1 && !prompt[0].is_number()) {
    Json only = prompt[0];
    prompt = std::move(only);
  }
  if (prompt.is_string()) {
    out.prompt = prompt.get<std::string>();
    if (out.prompt.empty()) return bad("prompt", "is empty");
    return out;
  }
  if (!prompt.is_array() || prompt.empty())
    return bad("prompt", "must be a string or a list of token numbers");
  for (const Json& token : prompt) {
    if (!token.is_number_integer() || token.get<std::int64_t>() < 0 ||
        token.get<std::int64_t>() > tokens_max)
      return bad("prompt",
                 "must be one string or one list of token numbers: send several prompts "
                 "as several requests");
    out.prompt_tokens.push_back(token.get<std::int32_t>());
  }
  return out;
}

Result<Request> parse_kaito_chat(std::string_view body, const Defaults& /*defaults*/) {
  constexpr int default_answer_tokens = 200;
  const Json object = TRY(parse_object(body));
  Request out;
  Fields fields(object);
  fields.text("model", out.model);
  out.return_full_text = true;
  fields.flag("return_full_text", out.return_full_text);
  fields.text("prompt", out.prompt);
  TRY(fields.status());
  if (!is_absent(object, "messages")) {
    out.messages = TRY(messages_of(object));
    out.return_full_text = false;  // the answer alone, as KAITO's conversational models give it
  } else if (out.prompt.empty()) {
    return bad("prompt", "is missing: send a prompt, or messages for a conversation");
  }
  const Json kwargs =
      is_absent(object, "generate_kwargs") ? Json::object() : object["generate_kwargs"];
  if (!kwargs.is_object()) return bad("generate_kwargs", "must be an object");
  Fields options(kwargs, "generate_kwargs.");
  bool do_sample = true;
  out.sampling.top_k = 10;
  options.flag("do_sample", do_sample);
  options.number("temperature", out.sampling.temperature, 0, 100);
  options.integer("top_k", out.sampling.top_k, 0, tokens_max);
  options.number("top_p", out.sampling.top_p, 0, 1);
  if (out.sampling.top_p <= 0) options.wrong("top_p", "must be greater than 0, at most 1");
  options.number("repetition_penalty", out.sampling.repetition_penalty, 0.01, 100);
  options.integer("max_length", out.max_length, 1, tokens_max);
  options.integer("max_new_tokens", out.max_tokens, 1, tokens_max);
  int stop_token = -1;
  options.integer("eos_token_id", stop_token, 0, tokens_max);
  if (stop_token >= 0) out.stop_tokens.push_back(stop_token);
  read_seed(kwargs, options, out);
  options.only("num_beams", 1);
  options.only("num_return_sequences", 1);
  options.only("no_repeat_ngram_size", 0);
  options.only("min_length", 0);
  options.only("min_new_tokens", 0);
  options.only("min_p", 0);
  options.only("bad_words_ids", Json::array());
  options.only("typical_p", 1);
  TRY(options.status());
  if (!do_sample) out.sampling.temperature = 0;
  if (out.max_tokens > 0) out.max_length = 0;  // max_new_tokens wins, as in transformers
  if (out.max_tokens == 0 && out.max_length == 0) out.max_tokens = default_answer_tokens;
  return out;
}
}  // namespace kairo::gpu
