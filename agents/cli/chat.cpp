// agents/cli/chat.cpp - asks a served model.
#include <httplib.h>
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agents/cli/cli.h"
#include "agents/cli/conditions.h"
#include "agents/cli/files.h"
#include "agents/cluster/kinds.h"

namespace kairo::cli {
namespace {
using Json = nlohmann::json;

constexpr int answer_s = 300;  // a long answer of a large model on few cores
using Post = std::function<Result<std::pair<int, std::string>>(const std::string& path,
                                                               const std::string& body)>;

// How a Workspace that answers is asked; else why it does not.
Result<Post> server_of(const Context& context, cluster::Cluster& cluster, const std::string& name) {
  const auto found = cluster.get({cluster::workspaces, context.ns, name});
  if (!found.ok()) return found.error();
  const Json workspace = Json::parse(found.value(), nullptr, false);
  if (!workspace.contains("inference"))
    return Error{Code::invalid, "workspace " + name +
                                    " tunes a model and serves none; chat with an inference "
                                    "Workspace that uses its adapter (docs/serving.md)"};
  const Condition ready = condition_of(workspace, "InferenceReady");
  if (ready.value != "True") {
    const std::string why = waiting_for(workspace);
    return Error{Code::unavailable, "workspace " + name + " is not ready" +
                                        (!why.empty()             ? ": " + why
                                         : !ready.message.empty() ? ": " + ready.message
                                                                  : "") +
                                        "; `kairo wait " + name + "` waits for it"};
  }
  if (!context.is_local)
    return Post([&context, name](const std::string& path, const std::string& body) {
      return context.post(name, path, body);
    });
  const auto service = cluster.get({cluster::services, context.ns, name});
  if (!service.ok()) return service.error();
  const std::string address =
      Json::parse(service.value())
          .value(Json::json_pointer("/metadata/annotations/kairo.dev~1local-address"), "");
  if (address.empty()) return Error{Code::unavailable, "workspace " + name + " has no address yet"};
  const auto client = std::make_shared<httplib::Client>("http://" + address);
  client->set_read_timeout(answer_s, 0);
  return Post([client](const std::string& path,
                       const std::string& body) -> Result<std::pair<int, std::string>> {
    const auto reply = client->Post(path, body, "application/json");
    if (!reply) return Error{Code::unavailable, httplib::to_string(reply.error())};
    return std::pair(reply->status, reply->body);
  });
}
// The answer's text; the question and it become part of `messages`.
Result<std::string> ask(const Post& post, const ChatOptions& options, const std::string& prompt,
                        Json& messages) {
  messages.push_back({{"role", "user"}, {"content", prompt}});
  Json body = {{"temperature", options.temperature}, {"max_tokens", options.max_tokens}};
  const std::string path = options.raw ? "/chat" : "/v1/chat/completions";
  if (options.raw)
    body = {{"prompt", prompt},
            {"return_full_text", false},
            {"generate_kwargs",
             {{"max_new_tokens", options.max_tokens}, {"do_sample", options.temperature > 0}}}};
  else
    body["messages"] = messages;
  if (!options.adapter.empty()) body["model"] = options.adapter;
  const auto reply = post(path, body.dump());
  if (!reply.ok())
    return Error{Code::unavailable, "no answer: " + reply.error().what + "; see `kairo logs " +
                                        options.workspace + "`"};
  const auto& [status, text] = reply.value();
  const Json json = Json::parse(text, nullptr, false);
  if (status != 200) {
    const Json::json_pointer at(json.contains("error") ? "/error/message" : "/message");
    return Error{Code::invalid, path + " answered " + std::to_string(status) + ": " +
                                    (json.is_object() && json.contains(at) && json[at].is_string()
                                         ? json[at].get<std::string>()
                                         : text.substr(0, 300))};
  }
  if (options.raw || !json.is_object()) return text;
  const std::string answer = json.value(Json::json_pointer("/choices/0/message/content"), "");
  messages.push_back({{"role", "assistant"}, {"content", answer}});
  return answer;
}
}  // namespace

Status chat(Context& context, const ChatOptions& options) {
  const auto cluster = TRY(context.connect());
  const Post post = TRY(server_of(context, *cluster, options.workspace));
  Json messages = Json::array();
  if (!options.prompt.empty() || isatty(STDIN_FILENO) != 1) {
    const std::string prompt = options.prompt.empty() ? TRY(read_file("-")) : options.prompt;
    if (prompt.find_first_not_of(" \t\r\n") == std::string::npos)
      return Error{Code::invalid, "no question: give it as an argument or on standard input"};
    std::cout << TRY(ask(post, options, prompt, messages)) << "\n";
    return ok();
  }
  std::cerr << "a line is a question; Ctrl-D ends\n";
  std::cout << "> " << std::flush;
  for (std::string line; std::getline(std::cin, line); std::cout << "> " << std::flush)
    if (line.find_first_not_of(" \t\r") != std::string::npos)
      std::cout << TRY(ask(post, options, line, messages)) << "\n";
  std::cout << "\n";
  return ok();
}
}  // namespace kairo::cli
