// agents/gateway/files_api.cpp - forms to disk, files as JSON.
#include "agents/gateway/files_api.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "agents/gateway/form.h"
#include "schemas/base/base64.h"

namespace kairo::gateway {
namespace {
constexpr std::size_t upload_json_max = 1 << 20, field_bytes_max = 4096, filename_max = 255;
constexpr std::int64_t files_default = 10'000, expiry_min_s = 3'600, expiry_max_s = 2'592'000;

const std::set<std::string>& purposes() {
  static const std::set<std::string> all{"assistants", "batch", "fine-tune",
                                         "vision",     "evals", "user_data"};
  return all;
}
Answer<std::string> purpose_in(const std::string& given) {
  if (purposes().contains(given)) return given;
  return Refusal{400,
                 given.empty() ? "purpose is missing; use fine-tune"
                               : "purpose is \"" + given.substr(0, 50) + "\"; use fine-tune",
                 "purpose"};
}
Answer<std::int64_t> expiry_in(const std::string& anchor, const std::string& seconds) {
  if (anchor.empty() && seconds.empty()) return std::int64_t{0};
  std::int64_t value = 0;
  const char* end = seconds.data() + seconds.size();
  const auto read = std::from_chars(seconds.data(), end, value);
  const bool is_good = anchor == "created_at" && read.ec == std::errc() && read.ptr == end &&
                       value >= expiry_min_s && value <= expiry_max_s;
  if (is_good) return value;
  return Refusal{400,
                 "expires_after must have the anchor created_at and seconds from 3600 to 2592000",
                 "expires_after"};
}
Json null_or(std::int64_t seconds) {
  return seconds == 0 ? Json() : Json(seconds);
}
Json file_json(const StoredFile& file) {
  return {{"id", file.id},
          {"object", "file"},
          {"bytes", file.bytes},
          {"created_at", file.made_ms / 1000},
          {"expires_at", null_or(file.expires_s)},
          {"filename", file.filename},
          {"purpose", file.purpose},
          {"status", "processed"},
          {"status_details", nullptr}};
}
Json upload_json(const Upload& upload, const Json& file) {
  return {{"id", upload.id},
          {"object", "upload"},
          {"bytes", upload.bytes},
          {"created_at", upload.created_s},
          {"expires_at", upload.expires_s},
          {"filename", upload.filename},
          {"purpose", upload.purpose},
          {"status", upload.status},
          {"file", file}};
}
Refusal too_large(std::uint64_t most) {
  return {413, "the file is larger than " + std::to_string(most >> 20) + " MiB", "file"};
}
}  // namespace

// What a form brings: one file, on disk already, and short fields.
struct FilesApi::Form {
  Draft draft;
  std::string filename;
  std::map<std::string, std::string> fields;
  std::string field(const std::string& name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
  }
};
// The file may come before the purpose is known, so it is stored first.
Answer<FilesApi::Form> FilesApi::read_form(const Request& request, const std::string& file_field,
                                           std::uint64_t bytes_max) {
  const std::string boundary = TRY(form_boundary(request.header("content-type")));
  Form out{TRY(files_.begin()), "", {}};
  const std::uint64_t used = files_.bytes_of(request.owner);
  const std::uint64_t left = used < bytes_max_ ? bytes_max_ - used : 0;
  std::optional<Refusal> no;
  const auto refuse = [&](Refusal refusal) {
    no = std::move(refusal);
    return Status(Error{Code::invalid, ""});
  };
  bool has_file = false, in_file = false;
  std::string* field = nullptr;
  FormReader reader(
      boundary,
      [&](const FormPart& part) -> Status {
        in_file = part.name == file_field;
        field = nullptr;
        if (in_file && has_file) return refuse({400, "the form has two files", file_field});
        if (!in_file) {
          field = &out.fields[part.name];
          field->clear();
          return ok();
        }
        has_file = true;
        out.filename = part.filename.substr(part.filename.find_last_of("/\\") + 1);
        if (out.filename.empty()) out.filename = "upload";
        if (out.filename.size() > filename_max)
          return refuse({400, "the file's name is longer than 255 bytes", file_field});
        return ok();
      },
      [&](std::string_view bytes) -> Status {
        if (in_file) {
          if (out.draft.size() + bytes.size() > bytes_max) return refuse(too_large(bytes_max));
          if (out.draft.size() + bytes.size() > left)
            return refuse({403,
                           "the files of this key would have more than " +
                               std::to_string(bytes_max_ >> 20) + " MiB together; delete some",
                           file_field, "storage_limit_exceeded"});
          return out.draft.append(bytes);
        }
        if (field->size() + bytes.size() > field_bytes_max)
          return refuse({400, "a field of the form is longer than 4 KiB"});
        field->append(bytes);
        return ok();
      });
  Status fed = ok();
  const bool is_whole = request.read([&](std::string_view bytes) {
    fed = reader.feed(bytes);
    return fed.ok();
  });
  if (no) return *no;
  if (!fed.ok()) return fed.error();
  if (!is_whole || !reader.is_whole())
    return Refusal{400, "the body ended before the form's last boundary"};
  if (!has_file) return Refusal{400, file_field + " is missing in the form", file_field};
  return out;
}

Answer<Json> FilesApi::create(const Request& request) {
  Form form = TRY(read_form(request, "file", file_bytes_max));
  StoredFile about;
  about.purpose = TRY(purpose_in(form.field("purpose")));
  const std::int64_t after =
      TRY(expiry_in(form.field("expires_after[anchor]"), form.field("expires_after[seconds]")));
  if (form.draft.size() == 0) return Refusal{400, "the file is empty", "file"};
  about.filename = form.filename;
  about.owner = request.owner;
  if (after > 0) about.expires_s = clock_.now_ms() / 1000 + after;
  return file_json(TRY(files_.keep(std::move(form.draft), std::move(about))));
}
Answer<Json> FilesApi::list(const Query& query) {
  const auto wanted = query.find("purpose");
  const std::string purpose = wanted == query.end() ? "" : wanted->second;
  std::vector<Json> all;
  for (const StoredFile& file : files_.list()) all.push_back(file_json(file));
  if (purpose.empty() || purpose == "fine-tune-results")
    for (const Json& file : TRY(jobs_.result_files())) all.push_back(file);
  std::erase_if(all,
                [&](const Json& file) { return !purpose.empty() && file["purpose"] != purpose; });
  std::stable_sort(all.begin(), all.end(), [](const Json& a, const Json& b) {
    return a["created_at"].get<std::int64_t>() > b["created_at"].get<std::int64_t>();
  });
  return page(all, query, files_default, files_default);
}
Answer<Json> FilesApi::get(const std::string& id) {
  if (const auto file = files_.find(id)) return file_json(*file);
  if (!job_of_result(id).empty())
    for (const Json& file : TRY(jobs_.result_files()))
      if (file["id"] == id) return file;
  return no_such("file", id);
}
Answer<Json> FilesApi::remove(const std::string& id) {
  const Status removed = files_.remove(id);
  if (!removed.ok())
    return removed.error().code == Code::not_found ? no_such("file", id)
                                                   : refusal_of(removed.error());
  return Json{{"id", id}, {"object", "file"}, {"deleted", true}};
}
// A result is base64 text of a CSV, as OpenAI's own examples decode it; who asks for text/csv, or
// with ?format=csv, gets the CSV.
Reply FilesApi::content(const std::string& id, const Request& request) {
  Reply out;
  if (!job_of_result(id).empty()) {
    const auto csv = jobs_.result(id);
    if (!csv.ok()) return reply(csv.error());
    const auto format = request.query.find("format");
    const bool is_plain = (format != request.query.end() && format->second == "csv") ||
                          request.header("accept").find("text/csv") != std::string::npos;
    out.body = is_plain ? csv.value() : base64_encode(csv.value());
    out.type = is_plain ? "text/csv" : "application/octet-stream";
    out.headers.emplace_back("Content-Disposition", "attachment; filename=\"step_metrics.csv\"");
    return out;
  }
  const auto file = files_.find(id);
  if (!file) return reply(no_such("file", id));
  std::string name = file->filename;
  for (char& c : name)
    if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\') c = '_';
  out.file = files_.data_of(id);
  out.type = "application/octet-stream";
  out.headers.emplace_back("Content-Disposition", "attachment; filename=\"" + name + "\"");
  return out;
}
Reply FilesApi::rows(const std::string& id, const Query& query) {
  const auto file = files_.find(id);
  const auto token = query.find("token");
  const bool may = file && token != query.end() && token->second == file->token;
  if (!may) return reply(no_such("file", id));
  Reply out;
  out.file = files_.data_of(id);
  out.type = "application/jsonl";
  return out;
}

Answer<Json> FilesApi::create_upload(const Request& request) {
  const Json body = TRY(json_body(request, upload_json_max));
  const auto text = [&](const char* key) {
    const auto found = body.find(key);
    return found != body.end() && found->is_string() ? found->get<std::string>() : "";
  };
  Upload about;
  about.purpose = TRY(purpose_in(text("purpose")));
  about.filename = text("filename");
  about.mime_type = text("mime_type");
  about.owner = request.owner;
  if (about.filename.empty() || about.filename.size() > filename_max)
    return Refusal{400, "filename must have 1 to 255 bytes", "filename"};
  const auto bytes = body.find("bytes");
  if (bytes == body.end() || !bytes->is_number_unsigned() || *bytes == 0 ||
      bytes->get<std::uint64_t>() > upload_bytes_max)
    return Refusal{400, "bytes must be a number from 1 to 8589934592", "bytes"};
  about.bytes = bytes->get<std::uint64_t>();
  if (about.bytes > bytes_max_ - std::min(bytes_max_, files_.bytes_of(request.owner)))
    return Refusal{403,
                   "the files of this key would have more than " +
                       std::to_string(bytes_max_ >> 20) + " MiB together; delete some",
                   "bytes", "storage_limit_exceeded"};
  if (const auto after = body.find("expires_after"); after != body.end() && after->is_object())
    about.file_expires_after_s =
        TRY(expiry_in(after->value("anchor", Json()).is_string()
                          ? after->value("anchor", Json()).get<std::string>()
                          : "",
                      after->value("seconds", Json()).dump()));
  return upload_json(TRY(files_.begin_upload(std::move(about))), nullptr);
}
Answer<Json> FilesApi::add_part(const std::string& id, const Request& request) {
  const auto upload = files_.find_upload(id);
  if (!upload) return no_such("upload", id, "upload_id");
  if (upload->status != "pending")
    return Refusal{400, "upload " + id + " is " + upload->status + ": it takes no more parts"};
  Form form = TRY(read_form(request, "data", upload_part_bytes_max));
  std::uint64_t bytes = form.draft.size();
  for (const auto& [part, size] : upload->parts) bytes += size;
  if (bytes > upload_bytes_max) return too_large(upload_bytes_max);
  const std::string part = TRY(files_.keep_part(id, std::move(form.draft)));
  return Json{{"id", part},
              {"object", "upload.part"},
              {"created_at", clock_.now_ms() / 1000},
              {"upload_id", id}};
}
Answer<Json> FilesApi::complete(const std::string& id, const Request& request) {
  const Json body = TRY(json_body(request, upload_json_max));
  const auto given = body.find("part_ids");
  if (given == body.end() || !given->is_array())
    return Refusal{400, "part_ids is no list", "part_ids"};
  std::vector<std::string> parts;
  for (const Json& part : *given) {
    if (!part.is_string())
      return Refusal{400, "part_ids has something that is no text", "part_ids"};
    parts.push_back(part.get<std::string>());
  }
  const Json md5 = body.value("md5", Json());
  if (!files_.find_upload(id)) return no_such("upload", id, "upload_id");
  const StoredFile file =
      TRY(files_.complete(id, parts, md5.is_string() ? md5.get<std::string>() : ""));
  return upload_json(*files_.find_upload(id), file_json(file));
}
Answer<Json> FilesApi::cancel(const std::string& id) {
  if (!files_.find_upload(id)) return no_such("upload", id, "upload_id");
  TRY(files_.cancel_upload(id));
  return upload_json(*files_.find_upload(id), nullptr);
}
}  // namespace kairo::gateway
