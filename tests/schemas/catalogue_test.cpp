// What this proves: the embedded tables are whole and consistent, and names are found as KAITO
// finds them.
#include "schemas/catalogue/catalogue.h"

#include <doctest/doctest.h>

#include <set>

using namespace kairo;

TEST_CASE("catalogue: 60 presets of KAITO and ours, 57 machine types") {
  CHECK(catalogue::presets().size() == 61);
  CHECK(catalogue::skus().size() == 57);
  std::set<std::string> names, machines;
  for (const auto& p : catalogue::presets()) {
    CAPTURE(p.name);
    CHECK(names.insert(p.name).second);
    CHECK(p.parameters > 0);
    CHECK(p.weights_gib > 0);
    CHECK(p.context_tokens >= 2048);
    CHECK_FALSE(p.architecture.empty());
    CHECK_FALSE(p.licence.empty());
  }
  for (const auto& s : catalogue::skus()) {
    CAPTURE(s.name);
    CHECK(machines.insert(s.cloud + "/" + s.name).second);
    CHECK(s.gpus > 0);
    CHECK(s.memory_gib > 0);
    CHECK((s.cloud == "azure" || s.cloud == "aws" || s.cloud == "arc"));
  }
  for (const auto& r : catalogue::retired_skus()) {
    CAPTURE(r.name);
    CHECK(catalogue::find_sku(r.name) == nullptr);
    REQUIRE(catalogue::find_sku(r.successor) != nullptr);
    CHECK_FALSE(r.reason.empty());
  }
}
TEST_CASE("catalogue: look-ups") {
  REQUIRE(catalogue::find_preset("phi-4") != nullptr);
  CHECK(catalogue::find_preset("Phi-4")->hf_id == "microsoft/phi-4");
  CHECK(catalogue::find_preset("MICROSOFT/phi-4")->name == "phi-4");
  CHECK(catalogue::find_preset("smollm2-135m-instruct")->is_tunable);
  CHECK(catalogue::find_preset("falcon-7b") == nullptr);
  CHECK(catalogue::find_preset("") == nullptr);
  CHECK(catalogue::find_retired("standard_nc6s_v3")->successor == "Standard_NC24ads_A100_v4");
  const auto fit = catalogue::skus_that_fit(80, "azure", 2);
  REQUIRE(fit.size() == 2);
  CHECK(fit[0]->name == "Standard_NC24ads_A100_v4");
  CHECK(fit[1]->memory_gib == 94);
}
