// agents/cli/export.cpp - asks the page's agent for the curve, writes it.
#include <httplib.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "agents/cli/cli.h"
#include "agents/cli/conditions.h"
#include "agents/cli/curve_text.h"
#include "agents/cli/page_door.h"
#include "agents/cluster/kinds.h"
#include "schemas/base/codec.h"
#include "schemas/tensorboard/event_file.h"

namespace kairo::cli {
namespace {
namespace fs = std::filesystem;
using Json = nlohmann::json;

Result<wire::CurveT> curve_of(const Context& context, const std::string& name) {
  const auto door = TRY(PageDoor::open(context));
  httplib::Client client(door->base());
  client.set_read_timeout(20, 0);
  const auto reply = client.Get("/api/v1/workspaces/" + context.ns + "/" + name + "/curve.bin",
                                {{"Authorization", "Bearer " + door->token()}});
  if (!reply)
    return Error{Code::unavailable, "the page's agent does not answer (" +
                                        httplib::to_string(reply.error()) +
                                        "); `kairo status` and its log tell why"};
  if (reply->status == 404)
    return Error{Code::not_found, "workspace " + name +
                                      ": no step of its training is known yet; `kairo wait " +
                                      name + "` follows it"};
  if (reply->status != 200) {
    std::string why = reply->body.substr(0, 300);
    while (why.ends_with('\n')) why.pop_back();
    return Error{Code::unavailable,
                 "the page's agent answers " + std::to_string(reply->status) + ": " + why};
  }
  wire::CurveT curve = TRY(decode<wire::CurveT>(reply->body, wire::CurveIdentifier()));
  TRY(check_columns(curve));
  return curve;
}
RunEnd end_of(const Json& workspace) {
  const std::string state = workspace.value(Json::json_pointer("/status/state"), "");
  if (state == "Succeeded") return RunEnd::succeeded;
  return state == "Failed" ? RunEnd::failed : RunEnd::none;
}
Status write_whole(const fs::path& path, const std::string& bytes) {
  const std::string draft = path.string() + ".new";
  std::ofstream out(draft, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  std::error_code error;
  if (out) fs::rename(draft, path, error);
  if (out && !error) return ok();
  return Error{Code::invalid, "--output: " + path.string() +
                                  " cannot be written; name another place, or make room"};
}
// What an export before this one left of the run is replaced.
Status write_events(const wire::CurveT& curve, RunEnd end, const std::string& output) {
  const fs::path folder = fs::path(output) / run_folder(curve);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return Error{Code::invalid,
                 "--output: " + folder.string() + " cannot be made: " + error.message()};
  const auto files = curve_event_files(curve, end);
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (tensorboard::is_own_file(name) && !files.contains(name)) fs::remove(entry.path(), error);
  }
  for (const auto& [name, bytes] : files) TRY(write_whole(folder / name, bytes));
  std::cout << folder.string() << ": " << curve.last.size() << " points, " << files.size()
            << (files.size() == 1 ? " attempt" : " attempts") << "; tensorboard --logdir " << output
            << "\n";
  return ok();
}
}  // namespace

Status export_curve(Context& context, const ExportOptions& options) {
  const auto cluster = TRY(context.connect());
  const auto found = cluster->get({cluster::workspaces, context.ns, options.name});
  if (!found.ok()) return found.error();
  const Json workspace = Json::parse(found.value(), nullptr, false);
  if (!workspace.is_object() || !workspace.contains("tuning"))
    return Error{Code::invalid, "workspace " + options.name +
                                    " serves a model and has no loss curve; export a tuning one"};
  const wire::CurveT curve = TRY(curve_of(context, options.name));
  if (options.as == "tensorboard")
    return write_events(curve, end_of(workspace), options.output.empty() ? "logs" : options.output);
  const std::string text = options.as == "jsonl" ? curve_jsonl(curve) : curve_csv(curve);
  if (!options.output.empty()) return write_whole(options.output, text);
  std::cout << text << std::flush;
  return ok();
}
}  // namespace kairo::cli
