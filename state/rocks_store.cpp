// state/rocks_store.cpp - the only file that knows RocksDB.
#include "state/rocks_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>
#include <sys/stat.h>

#include <filesystem>

namespace kairo::state {
namespace {
Error error_of(const rocksdb::Status& status, const std::string& what) {
  const Code code = status.IsCorruption() ? Code::corrupt : Code::unavailable;
  return {code, "store: " + what + ": " + status.ToString()};
}

// Small and bounded: an agent's state is a few MiB, and the log must be short to reopen quickly. An
// agent holds its records itself and reads them once: the cache is for what else is asked.
rocksdb::Options options() {
  rocksdb::Options out;
  const auto cache = rocksdb::NewLRUCache(1 << 20);
  out.create_if_missing = true;
  out.write_buffer_size = 1 << 20;
  out.write_buffer_manager = std::make_shared<rocksdb::WriteBufferManager>(4 << 20);
  out.max_total_wal_size = 8 << 20;
  out.max_open_files = 64;
  out.max_background_jobs = 2;
  out.keep_log_file_num = 2;
  out.max_log_file_size = 1 << 20;
  out.compression = rocksdb::kNoCompression;
  // Point in time, not kTolerateCorruptedTailRecords: a torn tail was never acknowledged, and
  // records behind a damaged one must not be taken for whole.
  out.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return out;
}

class RocksStore final : public Store {
 public:
  explicit RocksStore(rocksdb::DB* db) : db_(db) {}

  Result<std::optional<std::string>> get(const std::string& key) const override {
    std::string value;
    const rocksdb::Status status = db_->Get({}, key, &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return error_of(status, "read " + key);
    return std::optional(std::move(value));
  }

  Result<Rows> scan(const std::string& prefix, const std::string& after,
                    std::size_t limit) const override {
    Rows out;
    const std::unique_ptr<rocksdb::Iterator> row(db_->NewIterator({}));
    row->Seek(after < prefix ? prefix : after);
    if (row->Valid() && after >= prefix && row->key() == after) row->Next();
    for (; row->Valid() && row->key().starts_with(prefix) && out.size() < limit; row->Next())
      out.emplace_back(row->key().ToString(), row->value().ToString());
    if (!row->status().ok()) return error_of(row->status(), "scan " + prefix);
    return out;
  }

  Status commit(const Batch& batch) override {
    rocksdb::WriteBatch writes;
    for (const auto& [key, value] : batch.writes) {
      const rocksdb::Status status = value ? writes.Put(key, *value) : writes.Delete(key);
      if (!status.ok()) return error_of(status, "batch " + key);
    }
    rocksdb::WriteOptions how;  // without sync the log is written all the same, to the kernel
    how.sync = batch.is_durable;
    rocksdb::Status status = db_->Write(how, &writes);
    if (status.ok()) return ok();
    // After "no space left" RocksDB refuses writes until it is told that there is room again.
    if (status.IsNoSpace() || status.severity() != rocksdb::Status::Severity::kNoError) {
      if (db_->Resume().ok()) status = db_->Write(how, &writes);
      if (status.ok()) return ok();
    }
    return error_of(status, "commit");
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
};
}  // namespace

Result<std::unique_ptr<Store>> open_rocks_store(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Error{Code::unavailable, "store: create " + directory + ": " + error.message()};
  ::chmod(directory.c_str(), S_IRWXU);
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options(), directory, &db);
  if (!status.ok()) return error_of(status, "open " + directory);
  return std::unique_ptr<Store>(std::make_unique<RocksStore>(db));
}

Result<std::string> put_store_aside(const std::string& directory) {
  const std::string aside = directory + ".damaged";
  std::error_code error;
  std::filesystem::remove_all(aside, error);
  if (!error) std::filesystem::rename(directory, aside, error);
  if (error)
    return Error{Code::unavailable,
                 "store: move " + directory + " aside: " + error.message() + "; delete the folder"};
  return aside;
}
}  // namespace kairo::state
