// tests/agents/runtime/records_test.cpp - records at rest: the store's bytes, in a block or not.
#include "agents/runtime/records.h"

#include <doctest/doctest.h>

#include "schemas/base/codec.h"

using namespace kairo;

namespace {
wire::RecordT workspace_record(const std::string& uid, const std::string& name,
                               bool exists = true) {
  wire::RecordT out;
  out.uid = uid;
  out.ns = "default";
  out.name = name;
  out.wake_at_ms = 7;
  out.gone_at_ms = 9;
  out.workspace = std::make_unique<wire::WorkspaceT>();
  out.workspace->version = 5;
  out.workspace->exists = exists;
  return out;
}
void put_record(runtime::Records& records, const wire::RecordT& record) {
  records.put(encode(record, wire::RecordIdentifier()), record);
}
}  // namespace

TEST_CASE("records: what was put is found, by bytes and as an object") {
  runtime::Records records;
  CHECK(records.find("a") == nullptr);
  CHECK(records.at_rest("a") == nullptr);
  put_record(records, workspace_record("b", "second"));
  put_record(records, workspace_record("a", "first", false));
  CHECK(records.size() == 2);
  CHECK(*records.find("b") == workspace_record("b", "second"));
  CHECK(records.at_rest("b")->table().workspace()->version() == 5);
  CHECK(records.at_rest("b")->wake_at_ms == 7);
  CHECK(records.at_rest("b")->gone_at_ms == 0);  // it is there
  CHECK(records.at_rest("a")->gone_at_ms == 9);
  std::string uids;
  for (const auto& entry : records) uids += entry.first;
  CHECK(uids == "ab");
}

TEST_CASE("records: a newer one takes its place, and goes") {
  runtime::Records records;
  put_record(records, workspace_record("a", "a name that no short string holds"));
  put_record(records, workspace_record("a", "other"));
  CHECK(records.size() == 1);
  CHECK(records.find("a")->name == "other");
  records.erase("a");
  CHECK(records.find("a") == nullptr);
}
