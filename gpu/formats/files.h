// gpu/formats/files.h - whole files in, synced files out; the errors say which file and what to do.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::gpu {
// not_found: no such file. invalid: larger than max_bytes, or not readable.
Result<std::string> read_file(const std::string& path, std::int64_t max_bytes);
// Writes the parts one after the other and fsyncs; replaces an older file only when all is written.
// unavailable: the disk is full. invalid: the folder is absent or not writable.
Status write_file(const std::string& path, std::span<const std::string_view> parts);
Status write_file(const std::string& path, std::string_view text);
// A copy as durable as write_file's, in pieces of a mebibyte. not_found, invalid: `from`; the
// errors of write_file: `to`.
Status copy_file(const std::string& from, const std::string& to);
// Makes names in the folder durable (fsync of the folder).
Status sync_folder(const std::string& path);
// mkdir -p.
Status make_folders(const std::string& path);
// An error text without "<folder>/": its reader knows the file by name; where it was put is ours.
std::string without_folder(std::string text, const std::string& folder);
// The code of a failed write: unavailable for a full disk, else invalid.
Error write_error(const std::string& what, const std::string& path, int error_number);
}  // namespace kairo::gpu
