// state/rocks_store.h - the Store on disk: RocksDB, a durable batch is synced before commit()
// returns.
#pragma once
#include <memory>
#include <string>

#include "state/store.h"

namespace kairo::state {
// Opens or creates the store in `directory` (made 0700). unavailable: another process has it open,
// or the disk refuses. corrupt: the files fail their checksums.
Result<std::unique_ptr<Store>> open_rocks_store(const std::string& directory);
// A damaged one makes room for a new one; returns where it lies now. Only the last is kept.
Result<std::string> put_store_aside(const std::string& directory);
}  // namespace kairo::state
