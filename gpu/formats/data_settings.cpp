// gpu/formats/data_settings.cpp - the sections DatasetConfig and DataCollator.
#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
constexpr const char* collates = "rows are batched without padding, for causal language models";
using C = TrainingConfig;
Status take_loss_on(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  if (v.scalar && v.scalar->text == "answer")
    c.loss_on = LossOn::answer;
  else if (v.scalar && v.scalar->text == "all")
    c.loss_on = LossOn::all;
  else
    return bad(v, "answer or all");
  return ok();
}
Status take_split(const SettingValue& v, TrainingConfig& c) {
  const double x = TRY(number_of(v));
  if (!(x > 0 && x <= 1)) return bad(v, "above 0 and at most 1");
  c.train_test_split = x;
  return ok();
}
}  // namespace

std::vector<Setting> data_settings() {
  const std::string_view s = "DatasetConfig";
  std::vector<Setting> out = {
      {s, "dataset_path", text(&C::dataset_path)},
      {s, "dataset_extension", text(&C::dataset_extension)},
      {s, "shuffle_dataset", boolean(&C::shuffle)},
      {s, "shuffle_seed", integer(&C::shuffle_seed, 0, "at least 0")},
      {s, "context_column", text(&C::context_column)},
      {s, "response_column", text(&C::response_column)},
      {s, "messages_column", text(&C::messages_column)},
      {s, "train_test_split", take_split},
      {s, "validation_file", text(&C::validation_file)},
      {s, "loss_on", take_loss_on},
  };
  for (const auto* key : {"mlm", "mlm_probability", "pad_to_multiple_of", "return_tensors",
                          "tf_experimental_compile"})
    out.push_back({"DataCollator", key, note(collates)});
  return out;
}
}  // namespace kairo::gpu
