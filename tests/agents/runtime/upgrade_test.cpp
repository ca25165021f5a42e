// What this proves: an agent goes on from the store that an earlier kairo has left, and from what
// lies on that kairo's bus; a store of another format is emptied and made good from the bus.
//
// golden/store_<format>.txt has both as an earlier kairo wrote them: "row KEY BYTES" of a
// launcher's store, "fact SUBJECT ID BYTES" of the stream, in hexadecimal. One is written anew by
// KAIRO_WRITE_GOLDEN=1 test_runtime -tc="upgrade:*", and only where its format has none: the
// fixture is to stay as old as its format. (store_2 is of the last commit with format 2, store_3 of
// the first one with format 3.)
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "agents/launcher/decide.h"
#include "tests/support/loop_world.h"

using namespace kairo;
using namespace kairo::test;
using namespace std::chrono_literals;
namespace {
struct Launcher : LoopWorld {
  Launcher() : LoopWorld({launcher::decide, {wire::FactBody::Run}}) {}
};
std::string file_of(const std::string& format) {
  return std::string(KAIRO_SOURCE_DIR) + "/tests/agents/runtime/golden/store_" + format + ".txt";
}
std::string hex(const std::string& bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}
std::string unhex(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  return out;
}
// In the middle of its work: u1's Job is asked for and not made yet, u2 waits for its run
// directory, u3 has its server; one node is there.
void work(Launcher& w) {
  w.say_node("n1", node(1));
  w.say(tuning(2));
  w.say(ready(3));
  w.say(tuning(4), "u2");
  w.say(ready(5), "u2");
  w.say(serving(6), "u3");
  w.say(ready(7), "u3");
  w.settle();
  w.say(run_dir(8), "u3");
  w.settle();
  w.say(server(9), "u3");
  for (const std::string name : {"w-u3", "w-u3-headless"}) {
    wire::PartT service;
    service.version = name.size();
    service.exists = true;
    service.kind = "Service";
    service.name = name;
    w.say(std::move(service), "u3");
  }
  w.settle();
  w.say(run_dir(10));
  REQUIRE(w.loop->step(0ms).ok());  // the relay has not run
}
void write(const std::string& file) {
  Launcher w;
  work(w);
  std::ofstream out(file);
  for (const bus::Message& m : w.broker.stored("kairo.facts."))
    out << "fact " << m.subject << " " << m.id << " " << hex(m.bytes) << "\n";
  for (const auto& [key, value] : w.store.inner.scan("", "", 1000).value())
    out << "row " << key << " " << hex(value) << "\n";
}
// What an earlier kairo has left, and today's on it.
struct Upgraded : Launcher {
  explicit Upgraded(const std::string& format) {
    std::ifstream file(file_of(format));
    state::Batch rows;
    std::string line, what, key, id, bytes;
    while (std::getline(file, line)) {
      std::istringstream words(line);
      words >> what >> key;
      if (what == "fact") {
        words >> id >> bytes;
        REQUIRE(outside.publish({key, id, unhex(bytes)}).ok());
      } else {
        words >> bytes;
        rows.put(key, unhex(bytes));
      }
    }
    REQUIRE_FALSE(rows.writes.empty());
    REQUIRE(store.commit(rows).ok());
    said = facts("run");
    restart();
  }
  std::vector<std::string> said;
};
std::string mark(const Launcher& w, const std::string& uid, const std::string& key) {
  return runtime::mark_of(*w.loop->find(uid), key).value;
}
std::string done(const Launcher& w) {
  std::string out;
  for (const std::string& effect : w.effects.done) out += (out.empty() ? "" : ", ") + effect;
  return out;
}
}  // namespace

TEST_CASE("upgrade: the store of this format has its fixture") {
  const std::string file = file_of(runtime::record_format);
  if (std::getenv("KAIRO_WRITE_GOLDEN") != nullptr && !std::filesystem::exists(file)) write(file);
  INFO("record_format has grown: write " << file << " (see above), keep the one before");
  CHECK(std::filesystem::exists(file));
  CHECK(std::filesystem::exists(file_of(std::to_string(std::stoi(runtime::record_format) - 1))));
}
TEST_CASE("upgrade: an earlier kairo's store of this format is gone on from") {
  Upgraded w(runtime::record_format);
  // Nothing is heard again: all is from the store.
  REQUIRE(w.loop->records() == 3);
  CHECK(w.loop->find("u1")->workspace->tuning->preset == "smollm2-135m-instruct");
  CHECK(w.loop->find("u1")->run_dirs.at(0)->path == "/runs/default/u1/rev1");
  CHECK(w.loop->find("u3")->server->ready_replicas == 1);
  CHECK(w.loop->node("n1")->uid == "uid-n1");
  CHECK(mark(w, "u1", "job") == "rev1/n1/uid-n1");
  CHECK(w.store.scan("outbox/", "", 10).value().size() == 1);
  w.settle();
  CHECK(w.loop->facts() == 0);  // the cursor stands where it stood
  // The row is performed, and not asked for again. Of u3's server that kairo did not know the
  // number of KAITO's revision: it is noted on it.
  CHECK(done(w) == "w-u1 ApplyTuning, w-u3 ApplyInference");
  CHECK(w.store.scan("outbox/", "", 10).value().empty());
  CHECK(w.facts("run") == w.said);
  w.say(run_dir(11), "u2");
  w.settle();
  CHECK(w.effects.done.back() == "w-u2 ApplyTuning");
  CHECK(w.broker.stored("kairo.dead.").empty());
}
TEST_CASE("upgrade: a store of the format before is emptied, and the bus makes it good") {
  Upgraded w(std::to_string(std::stoi(runtime::record_format) - 1));
  CHECK(w.loop->records() == 0);
  CHECK(w.store.scan("", "", 10).value().empty());  // records, rows and cursor: nothing of it
  CHECK_FALSE(w.relay->step());
  w.settle();
  CHECK(w.loop->facts() == 15);  // all last facts, in that kairo's words
  CHECK(w.broker.stored("kairo.dead.").empty());
  REQUIRE(w.loop->records() == 3);
  CHECK(w.facts("run") == w.said);  // what was said is not unsaid
  CHECK(done(w).empty());  // that kairo's run directories name no volume: the node says them anew
  w.say(run_dir(12));
  w.settle();
  CHECK(done(w) == "w-u1 ApplyTuning");
  CHECK(w.store.get("meta/format").value() == std::string(runtime::record_format));
}
TEST_CASE("upgrade: back from a later kairo, a store of another format is emptied") {
  Upgraded w(runtime::record_format);
  state::Batch later;
  later.put("meta/format", "4000000000");
  later.put("record/u1", "of another schema");
  later.put("outbox/00000000000000000001", "of another schema");
  REQUIRE(w.store.commit(later).ok());
  w.restart();
  CHECK(w.loop->records() == 0);
  w.settle();
  CHECK(w.loop->records() == 3);
  CHECK(done(w) == "w-u1 ApplyTuning, w-u3 ApplyInference");
}
// Union members are only added: an earlier kairo meets those of a later one on the bus and, when
// it goes on from that one's store, in its outbox.
TEST_CASE("upgrade: back from a later kairo of this format, what it alone knows is left") {
  Upgraded w(runtime::record_format);
  flatbuffers::FlatBufferBuilder fact, command;
  const auto uid = fact.CreateString("u1");
  const auto body = wire::CreatePush(fact, 1);  // any table
  const auto start = fact.StartTable();
  fact.AddOffset(wire::Fact::VT_UID, uid);
  fact.AddElement<std::uint8_t>(wire::Fact::VT_BODY_TYPE, 200, 0);
  fact.AddOffset(wire::Fact::VT_BODY, body);
  fact.Finish(flatbuffers::Offset<wire::Fact>(fact.EndTable(start)), wire::FactIdentifier());
  const auto whose = command.CreateString("u1");
  const auto wish = wire::CreatePush(command, 1);
  const auto row = command.StartTable();
  command.AddOffset(wire::Command::VT_UID, whose);
  command.AddElement<std::uint8_t>(wire::Command::VT_BODY_TYPE, 200, 0);
  command.AddOffset(wire::Command::VT_BODY, wish);
  command.Finish(flatbuffers::Offset<wire::Command>(command.EndTable(row)),
                 wire::CommandIdentifier());
  const auto bytes = [](const flatbuffers::FlatBufferBuilder& built) {
    return std::string(reinterpret_cast<const char*>(built.GetBufferPointer()), built.GetSize());
  };
  state::Batch later;
  later.put("outbox/00000000000000000001", bytes(command));
  REQUIRE(w.store.commit(later).ok());
  w.restart();
  REQUIRE(w.outside.publish({"kairo.facts.later.default.w-u1.u1", "later/1", bytes(fact)}).ok());
  w.settle();
  CHECK(w.effects.done.back() == "w-u1 ApplyTuning");  // its own row, behind that one
  CHECK(w.store.scan("outbox/", "", 10).value().empty());
  CHECK(w.broker.stored("kairo.dead.").empty());
  CHECK(w.loop->find("u1")->workspace->version == 2);
}
TEST_CASE("upgrade: what is said of a store that is emptied") {
  const std::string rest = " kairo: it is emptied, and all is read from the bus";
  CHECK(runtime::foreign_text("") == "the store is of an earlier" + rest);
  CHECK(runtime::foreign_text("2") == "the store is of an earlier" + rest);
  CHECK(runtime::foreign_text("4") == "the store is of a later" + rest);
}
