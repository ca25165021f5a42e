// gpu/data/row_json.h - a row's JSON with its numbers as they are written: the library makes
// doubles of integers beyond 64 bits, Python does not. Private to gpu/data.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "schemas/base/result.h"

namespace kairo::gpu {
// Members keep their order; of a member that stands twice the last counts. An integer beyond 64
// bits is a string that dump_row and text_of_number know.
using RowJson = nlohmann::ordered_json;
// invalid: as parse_json; or the text holds the mark of such integers (U+F0003).
Result<RowJson> parse_row(std::string_view text);
// On one line; what is not UTF-8 is replaced.
std::string dump_row(const RowJson& json);
// The text of a number or boolean; empty for another value.
std::string text_of_number(const RowJson& json);
// What stands for the value when the column is a string that holds JSON, as in CSV; else the value.
RowJson unpacked(const RowJson& value);
// Takes out the members that Arrow put into structs because another row has them. Lists keep their
// items. Returns how many.
std::size_t drop_nulls(RowJson& value);
std::string names_of(const RowJson& object);  // "a, b"; at most about 300 bytes
Error wrong_type(const std::string& column, const RowJson& value, const std::string& wanted);
}  // namespace kairo::gpu
