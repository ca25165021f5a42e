// schemas/base/codec.h - our generated tables <-> bytes. Bytes are verified before anything reads
// them: size, depth and table count are bounded, so that hostile input costs a bounded time.
#pragma once
#include <flatbuffers/flatbuffers.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/base/result.h"

namespace kairo {
// A Workspace of workspace_json_max, the largest that is taken in, fits with room to spare: what we
// encode ourselves can be decoded again.
constexpr std::size_t table_bytes_max = 768 * 1024, workspace_json_max = 64 * 1024;
constexpr std::uint32_t table_depth_max = 16, tables_max = 16384;

// T: an object type of flatc --gen-object-api (wire::RecordT). identifier: the schema's
// file_identifier.
template <class T>
std::string encode(const T& value, const char* identifier) {
  flatbuffers::FlatBufferBuilder builder(1024);
  builder.Finish(T::TableType::Pack(builder, &value), identifier);
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}
// corrupt: too large, another schema's bytes, truncated or inconsistent.
template <class T>
Result<T> decode(std::string_view bytes, const char* identifier) {
  const auto bad = [&](const char* why) {
    return Error{Code::corrupt, std::string("decode ") + identifier + " of " +
                                    std::to_string(bytes.size()) + " bytes: " + why};
  };
  if (bytes.size() > table_bytes_max) return bad("too large");
  if (bytes.size() < 2 * sizeof(flatbuffers::uoffset_t)) return bad("too short");
  // Offsets assume alignment, which a network buffer does not promise: copy.
  std::vector<std::uint64_t> aligned((bytes.size() + 7) / 8);
  auto* data = reinterpret_cast<std::uint8_t*>(aligned.data());
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(data));
  if (!flatbuffers::BufferHasIdentifier(data, identifier)) return bad("not this schema");
  flatbuffers::Verifier verifier(data, bytes.size(), table_depth_max, tables_max);
  if (!verifier.VerifyBuffer<typename T::TableType>(identifier)) return bad("does not verify");
  T value;
  flatbuffers::GetRoot<typename T::TableType>(data)->UnPackTo(&value);
  return value;
}
}  // namespace kairo
