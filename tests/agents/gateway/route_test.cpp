// What this proves: a model's name leads to the server that holds it, to one that is on its way, to
// one that is to be made, or nowhere; pages, paths and names are read as the SDKs write them.
#include <doctest/doctest.h>

#include "agents/gateway/answer.h"
#include "agents/gateway/chat_route.h"
#include "agents/gateway/keys.h"

using namespace kairo::gateway;
namespace {
const std::string its_model = "ft:smollm2-135m-instruct:kairo::job00001";
Json job(const std::string& tail) {
  const std::string id = "ftjob-0000000000000000" + tail;
  return {{"metadata",
           {{"name", id},
            {"creationTimestamp", "2026-11-30T10:00:00Z"},
            {"labels", {{"kairo.dev/openai", "job"}}},
            {"annotations", Json::object()}}},
          {"tuning",
           {{"preset", {{"name", "smollm2-135m-instruct"}}},
            {"output", {{"image", "localhost:5000/openai/" + id + ":1"}}}}},
          {"status", {{"state", "Succeeded"}, {"tuning", {{"totalSteps", 24}}}}}};
}
Json server(const std::string& name, bool ready, const std::vector<std::string>& jobs) {
  Json out = {{"metadata", {{"name", name}, {"namespace", "default"}, {"generation", 2}}},
              {"inference", {{"preset", {{"name", "smollm2-135m-instruct"}}}}},
              {"status",
               {{"address", "127.0.0.1:9"},
                {"conditions", Json::array({{{"type", "InferenceReady"},
                                             {"status", ready ? "True" : "False"},
                                             {"message", "Inference deployment is not ready"},
                                             {"observedGeneration", 2}}})}}}};
  std::string names;
  for (const std::string& tail : jobs) {
    const std::string id = "ftjob-0000000000000000" + tail;
    names += (names.empty() ? "" : ",") + id;
    out["status"]["adapters"].push_back(
        {{"name", id}, {"state", "Serving"}, {"digest", "sha256:1"}});
  }
  out["metadata"]["annotations"]["kairo.dev/adapters-from"] = names;
  return out;
}
Json server_by_image(const std::string& name, const std::vector<std::string>& jobs) {
  Json out = server(name, true, {});
  for (const std::string& tail : jobs)
    out["inference"]["adapters"].push_back(
        {{"source",
          {{"name", "ftjob-0000000000000000" + tail},
           {"image", "localhost:5000/openai/ftjob-0000000000000000" + tail + ":1"}}}});
  return out;
}
std::string shown(const Route& route) {
  if (const auto* served = std::get_if<Served>(&route))
    return "served " + served->workspace + " " + served->address + " " + served->name;
  if (const auto* awaited = std::get_if<Awaited>(&route))
    return "awaited " + awaited->workspace + ": " + awaited->why;
  if (const auto* wanted = std::get_if<Wanted>(&route)) {
    std::string out = "wanted " + wanted->preset;
    for (const std::string& one : wanted->job_ids) out += " " + one.substr(22);
    return out + (wanted->by_image ? " by image" : "");
  }
  return "unknown";
}
const std::string its_server = "openai-smollm2-135m-instruct";
Workspaces world(bool ready, const std::vector<std::string>& held) {
  return {{"ftjob-0000000000000000job00001", job("job00001")},
          {"ftjob-0000000000000000job00002", job("job00002")},
          {its_server, server(its_server, ready, held)}};
}
}  // namespace

TEST_CASE("where a model is asked") {
  const auto route = [](const std::string& model, const Workspaces& w, bool in_cluster = false) {
    return shown(route_of(model, w, in_cluster));
  };
  const Workspaces ready = world(true, {"job00001"});
  CHECK(route(its_model, ready) ==
        "served " + its_server + " 127.0.0.1:9 ftjob-0000000000000000job00001");
  CHECK(route(its_model + ":ckpt-step-24", ready) == route(its_model, ready));
  CHECK(route(its_model + ":ckpt-step-23", ready) == "unknown");
  CHECK(route("smollm2-135m-instruct", ready) ==
        "served " + its_server + " 127.0.0.1:9 smollm2-135m-instruct");
  CHECK(route("HuggingFaceTB/SmolLM2-135M-Instruct", ready) ==
        route("smollm2-135m-instruct", ready));
  CHECK(route("smollm2-135m-instruct", ready, true) ==
        "served " + its_server + " " + its_server + ".default:80 smollm2-135m-instruct");
  CHECK(route("ft:smollm2-135m-instruct:kairo::job00002", ready) ==
        "wanted smollm2-135m-instruct job00001 job00002");
  CHECK(route(its_model, world(false, {"job00001"})) ==
        "awaited " + its_server + ": Inference deployment is not ready");
  CHECK(route(its_model, {{"ftjob-0000000000000000job00001", job("job00001")}}) ==
        "wanted smollm2-135m-instruct job00001");
  CHECK(route("phi-4", ready) == "wanted phi-4");
  CHECK(route("gpt-4o", ready) == "unknown");
  CHECK(route("", ready) == "unknown");
  Workspaces older = ready;  // what is ready is an older revision
  older[its_server]["metadata"]["generation"] = 3;
  CHECK(route(its_model, older) == "awaited " + its_server + ": ");
  Workspaces deleted = ready;
  deleted["ftjob-0000000000000000job00001"]["metadata"]["annotations"]["kairo.dev/openai-deleted"] =
      "true";
  CHECK(route(its_model, deleted) == "unknown");
}
TEST_CASE("an adapter that comes while its server answers") {
  const std::string id = "ftjob-0000000000000000job00001";
  Workspaces w = world(true, {"job00001"});
  w[its_server]["status"]["adapters"] = Json::array(
      {{{"name", id}, {"state", "Loading"}, {"message", "revision sha256:1 is being loaded"}}});
  CHECK(shown(route_of(its_model, w, false)) ==
        "awaited " + its_server + ": revision sha256:1 is being loaded");
  w[its_server]["status"].erase("adapters");  // nothing is told of it yet
  CHECK(shown(route_of(its_model, w, false)) == "awaited " + its_server + ": ");
  CHECK(shown(route_of("smollm2-135m-instruct", w, false)).starts_with("served "));
  w[its_server]["status"]["adapters"] = Json::array({{{"name", id}, {"state", "Refused"}}});
  CHECK(shown(route_of(its_model, w, false)) ==
        "wanted smollm2-135m-instruct job00001 by image");  // vLLM has it
  Workspaces named = world(true, {});
  named["mine"] = server("mine", true, {});
  named["mine"]["metadata"]["annotations"]["kairo.dev/adapters-from"] = "pip, pop";
  named["mine"]["status"]["adapters"] = Json::array(
      {{{"name", "pip"}, {"state", "Replacing"}, {"digest", "sha256:1"}}, {{"name", "pop"}}});
  CHECK(shown(route_of("pip", named, false)) == "served mine 127.0.0.1:9 pip");
  CHECK(shown(route_of("pop", named, false)) == "awaited mine: ");
  CHECK(shown(route_of("pap", named, false)) == "unknown");
}
TEST_CASE("a server that is full gives up the adapter that came first") {
  Workspaces full;
  std::vector<std::string> tails;
  for (int i = 10; i < 43; ++i) {
    const std::string tail = "job000" + std::to_string(i);
    full["ftjob-0000000000000000" + tail] = job(tail);
    if (i < 42) tails.push_back(tail);
  }
  full[its_server] = server(its_server, true, tails);
  const auto wanted =
      std::get<Wanted>(route_of("ft:smollm2-135m-instruct:kairo::job00042", full, false));
  CHECK(wanted.job_ids.size() == 32);
  CHECK(wanted.job_ids.front() == "ftjob-0000000000000000job00011");
  CHECK(wanted.job_ids.back() == "ftjob-0000000000000000job00042");
  full[its_server] = server_by_image(its_server, {tails.begin(), tails.begin() + 10});
  CHECK(shown(route_of("ft:smollm2-135m-instruct:kairo::job00042", full, false)) ==
        "wanted smollm2-135m-instruct job00011 job00012 job00013 job00014 job00015 job00016 "
        "job00017 job00018 job00019 job00042 by image");
  CHECK(shown(route_of("ft:smollm2-135m-instruct:kairo::job00010", full, false)) ==
        "served " + its_server + " 127.0.0.1:9 ftjob-0000000000000000job00010");
}
TEST_CASE("the server's Workspace names its jobs") {
  const Place place{"default", "r.io/a", "push", ""};
  const Json by_name = Json::parse(server_workspace(place, "phi-4", {"ftjob-a", "ftjob-b"}).json);
  CHECK(by_name["metadata"]["annotations"]["kairo.dev/adapters-from"] == "ftjob-a,ftjob-b");
  CHECK_FALSE(by_name["inference"].contains("adapters"));
  const Json by_image = Json::parse(server_workspace(place, "phi-4", {"ftjob-a"}, true).json);
  CHECK(by_image["inference"]["adapters"][0]["source"]["name"] == "ftjob-a");
  CHECK_FALSE(by_image["metadata"].contains("annotations"));
}
TEST_CASE("the model's name in an answer") {
  CHECK(renamed(R"({"model":"there","a":"\"model\":\"there\""})", "there", "ft:a:b::c") ==
        R"({"model":"ft:a:b::c","a":"\"model\":\"there\""})");
  CHECK(renamed("data: {\"model\": \"there\"}\n", "there", "x\"y") ==
        "data: {\"model\": \"x\\\"y\"}\n");
}
TEST_CASE("paths are split first, then unescaped") {
  CHECK(split_path("/v1/models/ft:a:b::c?x=/") ==
        std::vector<std::string>{"v1", "models", "ft:a:b::c"});
  CHECK(split_path("/v1/models/a%2Fb%20c%zz") ==
        std::vector<std::string>{"v1", "models", "a/b c%zz"});
  CHECK(split_path("/v1/fine_tuning/jobs//events") ==
        std::vector<std::string>{"v1", "fine_tuning", "jobs", "", "events"});
  CHECK(parse_query("/x?metadata%5Bk%5D=a+b&limit=2&&limit=3") ==
        Query{{"metadata[k]", "a b"}, {"limit", "2"}});
}
TEST_CASE("pages") {
  std::vector<Json> items;
  for (const char* id : {"e", "d", "c", "b", "a"}) items.push_back({{"id", id}});
  const auto ids = [&](const Query& query) {
    const auto answer = page(items, query, 20, 100);
    if (!answer.ok()) return answer.error().param + ": " + answer.error().message;
    std::string out;
    for (const Json& item : answer.value()["data"]) out += item["id"].get<std::string>();
    return out + (answer.value()["has_more"] == true ? "+" : "");
  };
  CHECK(ids({}) == "edcba");
  CHECK(ids({{"limit", "2"}}) == "ed+");
  CHECK(ids({{"limit", "2"}, {"after", "d"}}) == "cb+");
  CHECK(ids({{"limit", "2"}, {"after", "b"}}) == "a");
  CHECK(ids({{"after", "a"}}) == "");
  CHECK(ids({{"order", "asc"}, {"limit", "2"}, {"after", "b"}}) == "cd+");
  CHECK(ids({{"after", "zz"}}) ==
        "after: after is \"zz\", which is no id of this list; use the id of the last item");
  CHECK(ids({{"limit", "0"}}) == "limit: limit is \"0\"; use a number from 1 to 100");
  CHECK(ids({{"order", "x"}}) == "order: order is \"x\"; use asc or desc");
}
TEST_CASE("an error as the SDKs read it") {
  CHECK(error_body({400, "why", "", ""}) ==
        R"({"error":{"message":"why","type":"invalid_request_error","param":null,"code":null}})");
  CHECK(reply(Refusal{409, "x", "", ""}).headers[0].first == "x-should-retry");
}
TEST_CASE("keys") {
  const auto keys = Keys::parse("# of the team\nsk-0123456789abcdef alice\nsk-another-key-0000\n");
  std::string owner;
  CHECK(keys.value().may("Bearer sk-0123456789abcdef", owner));
  CHECK(owner == "alice");
  CHECK(keys.value().may("Bearer sk-another-key-0000", owner));
  CHECK(owner.starts_with("key-"));
  CHECK_FALSE(keys.value().may("Bearer sk-0123456789abcde", owner));
  CHECK_FALSE(keys.value().may("sk-0123456789abcdef", owner));
  CHECK(Keys::parse("short").error().what ==
        "openai-keys-file line 1: the key is shorter than 16 characters");
  CHECK_FALSE(Keys::parse("# none").ok());
  CHECK_FALSE(Keys::parse("sk-0123456789abcdef\nsk-0123456789abcdef b").ok());
  CHECK(Keys().may("", owner));
}
