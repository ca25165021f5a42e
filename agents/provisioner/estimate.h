// agents/provisioner/estimate.h - what a Workspace needs, before anything is bought. Pure.
//
// Rough on purpose: from the catalogue alone, before the data set is there. `kairo-tune estimate`
// gives the exact figures for a model and a data set that lie on this machine.
#pragma once
#include <cstdint>
#include <string>

#include "schemas/catalogue/catalogue.h"
#include "schemas/workspace_generated.h"

namespace kairo::provisioner {
struct Need {
  std::int64_t memory_bytes = 0;  // of the CPU's or the GPU's memory, where the model runs
  std::string why;                // "1.3 GiB: NF4 weights 0.2, ..." for the message
};
// By the trainer's own memory plan where the catalogue has the model's sizes. on_cpu: fp32 compute
// in main memory (in bf16, which not every node's CPU gains by, it needs less); else bf16 on one
// GPU.
Need tuning_need(const catalogue::Preset& preset, const std::string& method, bool on_cpu);
// stored_bytes: of the files on the node, which our own engine computes with as they are, on a CPU
// and on a GPU; 0: not known, or another engine's: fp32 is assumed on a CPU, bf16 on a GPU.
Need serving_need(const catalogue::Preset& preset, std::size_t adapters, bool on_cpu,
                  std::int64_t stored_bytes = 0);
// GPUs of one node that vLLM needs, a power of two, by KAITO's estimate; 0: they do not do.
std::uint32_t vllm_gpus(const catalogue::Preset& preset, std::int64_t gpu_memory_bytes,
                        std::uint32_t gpus);
// Nodes with so many GPUs each that vLLM needs, by KAITO's estimate; 0: no number of them does.
std::uint32_t vllm_nodes(const catalogue::Preset& preset, std::int64_t gpu_memory_bytes,
                         std::uint32_t gpus);
// Our own engine runs it: the family, and weights that are not quantised. Others need Kubernetes
// with vLLM (serving only).
bool is_native(const catalogue::Preset& preset);
// Larger models are served by vLLM where there are GPUs: our own engine computes on CPUs so far.
constexpr std::int64_t served_on_cpu_max = 1'000'000'000;     // parameters
std::string why_not_native(const catalogue::Preset& preset);  // for messages
std::string gib(std::int64_t bytes);                          // "1.3 GiB"
}  // namespace kairo::provisioner
