// gpu/engine/state_copy.cpp - three flat buffers each.
#include "gpu/engine/state_copy.h"

namespace kairo::gpu {
namespace {
class Copied final : public StateCopy {
 public:
  explicit Copied(const CheckpointBuffers& s)
      : parts_{values(s.parameters), values(s.first_moment), values(s.second_moment)} {}
  CheckpointBuffers wait() override { return {parts_[0], parts_[1], parts_[2], {}}; }

 private:
  static std::vector<float> values(std::span<const float> of) { return {of.begin(), of.end()}; }
  std::array<std::vector<float>, 3> parts_;
};
}  // namespace

StateCopyPtr copy_of(const CheckpointBuffers& state) {
  return std::make_shared<Copied>(state);
}

StateOnHost::StateOnHost(Ops& ops, std::int64_t parameters) {
  for (Buffer& buffer : host_) buffer = ops.make_host(parameters);
}
void StateOnHost::begin(Ops& ops, const Parts& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i)
    copying_[i] = ops.copy_out(host_[i].data(), parts[i]);
}
void StateOnHost::finish_first() {
  for (const auto& copying : copying_)
    if (copying != nullptr) copying->finish_first();
}
CheckpointBuffers StateOnHost::wait() {
  for (const auto& copying : copying_)
    if (copying != nullptr) copying->wait();
  const auto values = [](const Buffer& buffer) { return buffer.span(); };
  return {values(host_[0]), values(host_[1]), values(host_[2]), {}};
}
}  // namespace kairo::gpu
