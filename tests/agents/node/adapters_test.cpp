// What this proves: a server is to have what its tunings have made, by digest; what a tuning has
// not made yet takes nothing away; and what a server says it has is compared by name and digest.
#include <doctest/doctest.h>

#include "agents/node/adapter_steps.h"
#include "agents/node/decide.h"
#include "tests/support/tuned.h"

using namespace kairo;
using namespace kairo::test;
namespace {
using runtime::Tuning;
const runtime::Nodes no_nodes;

// "pip=sha256:1... ": what is asked for; "-" = nothing.
std::string asked(const wire::RecordT& record, const wire::RecordT& tuning) {
  runtime::View view{no_nodes, 1000, "", "n1"};
  view.named = names(tuning);
  const auto decision = node::decide(record, view);
  if (decision.commands.empty()) return "-";
  REQUIRE(kinds(decision) == "ServeAdapters");
  const auto& wish = *decision.commands[0].body.AsServeAdapters();
  CHECK(wish.run_dir == "/runs/default/u1/rev1");
  CHECK(wish.address == "127.0.0.1:4000");
  std::string out;
  for (const auto& adapter : wish.adapters)
    out += adapter->name + " " + adapter->image + adapter->folder + " " + adapter->secret + ";";
  return out;
}
wire::RecordT there(wire::WorkspaceT w) {
  return record(std::move(w), ready(1), planned(1), run_dir(1), at_address(server(1)));
}
wire::WorkspaceT into_volume(wire::WorkspaceT w) {
  w.tuning->output->image = "";
  return w;
}
}  // namespace

TEST_CASE("adapters: names are read out of the annotation") {
  const std::pair<const char*, std::vector<std::string>> rows[] = {
      {"", {}},
      {"pip", {"pip"}},
      {" pip,pip-2  pip,\tx.y ", {"pip", "pip-2", "x.y"}},
      {",,", {}},
  };
  for (const auto& [text, wanted] : rows) CHECK(runtime::named_tunings(naming(1, text)) == wanted);
  CHECK(runtime::named_tunings(tuning(1)).empty());
}

TEST_CASE("adapters: what a tuning gives") {
  const auto base = [](wire::WorkspaceT w) {
    w.tuning->preset = "qwen3-4b";
    return w;
  };
  wire::WorkspaceT taken = naming(1);
  taken.inference->adapters.push_back(std::make_unique<wire::AdapterT>());
  taken.inference->adapters[0]->source = std::make_unique<wire::DataSourceT>();
  taken.inference->adapters[0]->source->name = "pip";
  wire::ArtifactT bad = artifact(2), away = artifact(2);
  bad.problem = "out of memory";
  away.node = "n2";
  const struct {
    const char* name;
    wire::RecordT record, tuning;
    Tuning wanted;
  } rows[] = {
      {"it is tuned", there(naming(1)), pip(tuning(1)), Tuning::coming},
      {"not pushed yet", there(naming(1)), pip(tuning(1), ready(1), artifact(2)), Tuning::coming},
      {"pushed", there(naming(1)), pip(tuning(1), pushed_as(2, digest_1)), Tuning::ready},
      {"an older revision's push", there(naming(1)), pip(tuning(3, "rev2"), pushed_as(2, digest_1)),
       Tuning::coming},
      {"into a volume", there(naming(1)), pip(into_volume(tuning(1)), ready(1), artifact(2)),
       Tuning::ready},
      {"on another node", there(naming(1)), pip(into_volume(tuning(1)), ready(1), away),
       Tuning::elsewhere},
      {"failed", there(naming(1)), pip(tuning(1), ready(1), bad), Tuning::failed},
      {"its Job failed", there(naming(1)), pip(tuning(1), ready(1), finished(2, 0)),
       Tuning::failed},
      {"another base", there(naming(1)), pip(base(tuning(1)), pushed_as(2, digest_1)),
       Tuning::other_base},
      {"deleted", there(naming(1)), pip(leaving(tuning(1)), pushed_as(2, digest_1)),
       Tuning::leaving},
      {"gone", there(naming(1)), pip(gone(tuning(1)), pushed_as(2, digest_1)), Tuning::missing},
      {"a server", there(naming(1)), pip(serving(1)), Tuning::is_none},
      {"a name that is taken", there(std::move(taken)), pip(tuning(1), pushed_as(2, digest_1)),
       Tuning::name_taken},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    CHECK(runtime::tuned_for(row.record, "pip", &row.tuning).state == row.wanted);
  }
  CHECK(runtime::tuned_for(there(naming(1)), "pip", nullptr).state == Tuning::missing);
  CHECK(runtime::tuned_for(there(naming(1, "smollm2-135m-instruct")), "smollm2-135m-instruct",
                           nullptr)
            .state == Tuning::name_taken);
}

TEST_CASE("adapters: the server is to have what is ready, and what answered last") {
  const wire::RecordT coming = pip(tuning(1)), done = pip(tuning(1), pushed_as(2, digest_1)),
                      again = pip(tuning(3, "rev2"), pushed_as(2, digest_1)),
                      other = pip(gone(tuning(5)));
  const auto with = [](wire::RecordT r, auto body) {
    runtime::absorb(r, fact(std::move(body)));
    return r;
  };
  const std::string first = "pip localhost:5000/a@" + digest_1 + " push;";
  CHECK(asked(there(serving(1)), done) == "-");  // it names nobody
  CHECK(asked(there(naming(1)), coming) == "");  // asked once, with nothing
  CHECK(asked(there(naming(1)), done) == first);
  CHECK(asked(with(there(naming(1)), served(1, digest_1)), again) == first);
  CHECK(asked(with(there(naming(1)), served(1, digest_1)), other) == first);
  CHECK(asked(with(there(naming(1)), served(1, "", digest_1)), other) == "");  // it never did
  CHECK(asked(with(there(serving(2)), served(1, digest_1)), done) == "");      // named no more
  wire::ServingT on_n2 = served(1, digest_2);
  on_n2.node = "n2";  // where the server was before
  CHECK(asked(with(there(naming(1)), std::move(on_n2)), other) ==
        "pip localhost:5000/a@" + digest_2 + " push;");
  wire::WorkspaceT of_ones_own = naming(1);
  of_ones_own.inference->template_ = "{}";
  CHECK(asked(there(std::move(of_ones_own)), done) == "-");
  wire::ResourcesT by_vllm = ready(2);
  by_vllm.runtime = "vllm";
  CHECK(asked(with(there(naming(1)), std::move(by_vllm)), done) == "-");
  CHECK(asked(record(naming(1), ready(1), planned(1), run_dir(1)), done) == "-");  // no server yet
  wire::ServerT in_cluster = server(1);
  in_cluster.uid = "s1";
  wire::PodT pod;
  pod.version = 1;
  pod.exists = true;
  pod.owner = "s1";
  pod.ip = "10.0.0.7";
  runtime::View view{no_nodes, 1000, "", "n1"};
  view.named = names(done);
  const auto decision = node::decide(
      record(naming(1), ready(1), planned(1), run_dir(1), std::move(in_cluster), std::move(pod)),
      view);
  REQUIRE(kinds(decision) == "ServeAdapters");
  CHECK(decision.commands[0].body.AsServeAdapters()->address == "10.0.0.7:5000");
}

TEST_CASE("adapters: a server's list of models") {
  const std::string hex(64, '1');
  const auto served = node::served_in(
      R"({"data": [{"id": "base", "root": "base"}, {"id": "pip", "root": "/w/adapters/pip@)" + hex +
      R"("}, {"id": "pop", "root": "/mnt/adapter/pop"}, {"id": "x", "root": "/w/y@)" + hex +
      R"("}, 7]})");
  REQUIRE(served);
  REQUIRE(served->size() == 5);
  CHECK((*served)[0].digest == "");
  CHECK((*served)[1].digest == digest_1);
  CHECK((*served)[2].digest == "");
  CHECK((*served)[3].digest == "");
  CHECK_FALSE(node::served_in("[]"));
  CHECK_FALSE(node::served_in("<html>"));
  wire::ServeAdaptersT nothing;
  CHECK(node::to_unload(*served, nothing) == std::vector<std::string>{"pip"});  // not the others'
  CHECK(node::folder_of("pip", digest_1) == "pip@" + hex);
  for (const char* bad : {"", "sha256:1", "md5:1111"}) CHECK(node::folder_of("pip", bad) == "");
  for (const char* bad : {"", "../x", ".x"}) CHECK(node::folder_of(bad, digest_1) == "");
}

TEST_CASE("adapters: what is told of one") {
  wire::WantedAdapterT wanted;
  wanted.name = "pip";
  wanted.digest = digest_2;
  wanted.image = "r/a@" + digest_2;
  const std::vector<node::ServedName> none, older{{"pip", digest_1}}, newer{{"pip", digest_2}};
  const auto before = served(1, digest_1);
  const wire::ServedAdapterT* last = before.adapters[0].get();
  const auto coming = node::told_of(wanted, &none, nullptr, "404", 9'000);
  CHECK(coming.digest == "");
  CHECK(coming.since_ms == 0);
  CHECK(coming.message == "404");
  CHECK(coming.wanted == digest_2);
  const auto replacing = node::told_of(wanted, &older, last, "", 9'000);
  CHECK(replacing.digest == digest_1);
  CHECK(replacing.image == "localhost:5000/a@" + digest_1);  // where that one is to be had
  CHECK(replacing.since_ms == 5'000);
  const auto silent = node::told_of(wanted, nullptr, last, "", 9'000);
  CHECK(silent.digest == digest_1);  // it may answer still
  const auto replaced = node::told_of(wanted, &newer, last, "", 9'000);
  CHECK(replaced.digest == digest_2);
  CHECK(replaced.image == "r/a@" + digest_2);
  CHECK(replaced.since_ms == 9'000);
  CHECK(node::trouble_in(400, R"({"error": {"message": "no such module"}})") ==
        "the server answers 400: no such module");
  CHECK(node::trouble_in(
            404, R"({"error": {"message": "start kairo-serve with --runtime-adapters"}})") ==
        "the server was started by an earlier kairo, which loads no adapters while it runs: delete "
        "its StatefulSet, it is made again");
  CHECK(node::trouble_in(502, "<html>") == "the server answers 502");
}
