// agents/transfer/inflate.cpp - zlib and zstd behind one feed().
#include "agents/transfer/inflate.h"

#include <zlib.h>
#include <zstd.h>

#include <array>
#include <vector>

#include "schemas/base/assert.h"

namespace kairo::transfer {
namespace {
constexpr std::size_t magic_bytes = 4, out_bytes = 256 * 1024;
constexpr int zstd_window_log_max = 27;  // 128 MiB: a hostile frame may not ask for more

enum class Kind : std::uint8_t { unknown, plain, gzip, zstd };
Kind kind_of(std::string_view head) {
  if (head.starts_with("\x1f\x8b")) return Kind::gzip;
  if (head.starts_with("\x28\xb5\x2f\xfd")) return Kind::zstd;
  return Kind::plain;
}
Error corrupt(const char* why) {
  return {Code::corrupt, std::string("layer: ") + why};
}
}  // namespace

struct Inflate::Impl {
  explicit Impl(Sink s) : sink(std::move(s)), out(out_bytes) {}
  ~Impl() {
    if (kind == Kind::gzip) inflateEnd(&zlib);
    ZSTD_freeDStream(zstd);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status begin() {
    kind = kind_of(head);
    if (kind == Kind::gzip) KAIRO_ASSERT(inflateInit2(&zlib, 15 + 16) == Z_OK, "zlib has memory");
    if (kind == Kind::zstd) {
      zstd = ZSTD_createDStream();
      KAIRO_ASSERT(zstd != nullptr, "zstd has memory");
      ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, zstd_window_log_max);
    }
    const std::string first = std::move(head);
    head.clear();
    return pass(first);
  }
  Status pass(std::string_view bytes) {
    switch (kind) {
      case Kind::unknown:
      case Kind::plain:
        return sink(bytes);
      case Kind::gzip:
        return pass_gzip(bytes);
      case Kind::zstd:
        return pass_zstd(bytes);
    }
    return ok();
  }
  Status pass_gzip(std::string_view bytes) {
    std::vector<Bytef> in(bytes.begin(), bytes.end());  // zlib wants it mutable
    zlib.next_in = in.data();
    zlib.avail_in = static_cast<uInt>(in.size());
    bool is_more = true;
    while (zlib.avail_in > 0 || is_more) {
      if (is_ended) {
        if (zlib.avail_in == 0) break;
        inflateReset(&zlib);  // the next member
        is_ended = false;
      }
      zlib.next_out = reinterpret_cast<Bytef*>(out.data());
      zlib.avail_out = static_cast<uInt>(out.size());
      const int done = ::inflate(&zlib, Z_NO_FLUSH);
      if (done != Z_OK && done != Z_STREAM_END && done != Z_BUF_ERROR)
        return corrupt("gzip data that does not inflate");
      is_ended = done == Z_STREAM_END;
      const std::size_t made = out.size() - zlib.avail_out;
      if (made > 0) TRY(sink({out.data(), made}));
      is_more = made == out.size();
      if (done == Z_BUF_ERROR && made == 0) break;
    }
    return ok();
  }
  Status pass_zstd(std::string_view bytes) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    bool is_more = true;
    while (in.pos < in.size || is_more) {
      ZSTD_outBuffer made{out.data(), out.size(), 0};
      const std::size_t left = ZSTD_decompressStream(zstd, &made, &in);
      if (ZSTD_isError(left) != 0) return corrupt("zstd data that does not decompress");
      is_ended = left == 0;
      if (made.pos > 0) TRY(sink({out.data(), made.pos}));
      is_more = made.pos == out.size();
    }
    return ok();
  }

  const Sink sink;
  std::vector<char> out;
  std::string head;  // until the kind is known
  Kind kind = Kind::unknown;
  z_stream zlib{};
  ZSTD_DStream* zstd = nullptr;
  bool is_ended = false;  // at the end of a member or frame
};
Inflate::Inflate(Sink sink) : impl_(std::make_unique<Impl>(std::move(sink))) {}
Inflate::~Inflate() = default;
Status Inflate::feed(std::string_view bytes) {
  if (impl_->kind != Kind::unknown) return bytes.empty() ? ok() : impl_->pass(bytes);
  impl_->head.append(bytes);
  return impl_->head.size() < magic_bytes ? ok() : impl_->begin();
}
Status Inflate::finish() {
  if (impl_->kind == Kind::unknown) TRY(impl_->begin());
  const bool is_packed = impl_->kind == Kind::gzip || impl_->kind == Kind::zstd;
  return is_packed && !impl_->is_ended ? Status(corrupt("compressed data that is cut")) : ok();
}
}  // namespace kairo::transfer
