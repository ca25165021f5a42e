// agents/gateway/chat_api.cpp - route, wait, pass on.
#include "agents/gateway/chat_api.h"

#include <condition_variable>
#include <thread>

#include "agents/gateway/job_view.h"
#include "schemas/base/log.h"

namespace kairo::gateway {
namespace {
constexpr std::size_t chat_body_max = 4 << 20;
constexpr int waiting_max = 32;
// A server that has just become ready may not be reached, or not know its adapter, for a moment.
constexpr std::int64_t settle_ms = 10'000, again_ms = 200;

Refusal not_ready(const std::string& model, const std::string& why) {
  Refusal out{503,
              "model " + model.substr(0, 200) + " is being loaded" +
                  (why.empty() ? "" : ": " + why) + "; ask again",
              "model", "model_not_ready", "server_error"};
  out.retry_after_s = 5;
  return out;
}
Refusal no_model(const std::string& model) {
  return {404, "the model \"" + model.substr(0, 200) + "\" does not exist", "model",
          "model_not_found"};
}
// What the server says of a model that it does not have yet, or of being loaded.
bool is_passing(int status, const std::string& body) {
  return status == 503 || (status == 404 && body.find("model_not_found") != std::string::npos);
}
}  // namespace

Status ChatApi::make(const Wanted& wanted) {
  const cluster::Apply object =
      server_workspace(place_, wanted.preset, wanted.job_ids, wanted.by_image);
  const std::scoped_lock lock(making_);
  std::string& before = made_[object.ref.name];
  if (before == object.json) {  // it is on its way: unless somebody has deleted it
    const auto there = cluster_.get(object.ref);
    if (there.ok()) return ok();
  }
  TRY(cluster_.apply(object));
  log::info("a server is made",
            {{"workspace", object.ref.name}, {"adapters", std::to_string(wanted.job_ids.size())}});
  before = object.json;
  return ok();
}

Answer<Served> ChatApi::server_of(const std::string& model, std::int64_t deadline_ms) {
  auto seen = seen_.now();
  struct Waiting {
    std::atomic<int>& count;
    bool counts = false;
    ~Waiting() {
      if (counts) --count;
    }
  } waiting{waiting_};
  for (;;) {
    const Route route = route_of(model, *seen, in_cluster_);
    if (const auto* served = std::get_if<Served>(&route)) return *served;
    if (std::holds_alternative<Unknown>(route)) return no_model(model);
    std::string why;
    if (const auto* awaited = std::get_if<Awaited>(&route)) why = awaited->why;
    if (const auto* wanted = std::get_if<Wanted>(&route)) {
      if (!wanted->job_ids.empty() && place_.registry.empty()) return no_model(model);
      TRY(make(*wanted));
    }
    if (!waiting.counts) {
      waiting.counts = true;
      if (++waiting_ > waiting_max) return not_ready(model, why);
    }
    const std::int64_t left = deadline_ms - clock_.monotonic_ms();
    if (left <= 0) return not_ready(model, why);
    seen = seen_.after(seen, std::min<std::int64_t>(left, 1'000));
  }
}

Reply ChatApi::complete(const Request& request, const std::string& path) {
  auto read = json_body(request, chat_body_max);
  if (!read.ok()) return reply(read.error());
  Json body = std::move(read).value();
  const auto named = body.find("model");
  if (named == body.end() || !named->is_string() || named->get_ref<const std::string&>().empty())
    return reply(Refusal{400, "model is missing: GET /v1/models lists what there is", "model"});
  const std::string model = named->get<std::string>();
  const Json stream = body.value("stream", Json());
  const std::int64_t begin_ms = clock_.monotonic_ms();
  for (;;) {
    const auto served = server_of(model, begin_ms + wait_ms_);
    if (!served.ok()) return reply(served.error());
    body["model"] = served.value().name;
    const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
    Reply out = stream == true ? streamed(served.value(), path, text, model)
                               : whole(served.value(), path, text, model);
    const bool is_late = clock_.monotonic_ms() - begin_ms > std::min(settle_ms, wait_ms_);
    if (!is_passing(out.status, out.body) || is_late) return out;
    std::this_thread::sleep_for(std::chrono::milliseconds(again_ms));
  }
}

Reply ChatApi::whole(const Served& served, const std::string& path, const std::string& body,
                     const std::string& model) {
  constexpr std::size_t answer_max = 64 << 20;
  Reply out;
  std::string retry_after;
  const Status done = upstream_.post(
      served.address, path, body,
      [&](const UpstreamHead& head) {
        out.status = head.status;
        retry_after = head.retry_after;
        return true;
      },
      [&](std::string_view bytes) {
        out.body.append(bytes);
        return out.body.size() <= answer_max;
      });
  if (!done.ok()) return reply(not_ready(model, done.error().what));
  if (!retry_after.empty()) out.headers.emplace_back("Retry-After", retry_after);
  out.body = renamed(std::move(out.body), served.name, model);
  return out;
}

// What the server sends on its way to the client: a thread asks, the client's own writes.
struct ChatApi::Pipe {
  std::mutex mutex;
  std::condition_variable changed;
  UpstreamHead head;
  std::string text, trouble;
  bool has_head = false, has_ended = false, is_left = false;
};
// Asks in a thread of its own, which ends soon after nobody listens any more.
std::shared_ptr<std::thread> ChatApi::ask_into(const std::shared_ptr<Pipe>& pipe,
                                               const Served& served, const std::string& path,
                                               const std::string& body) {
  constexpr std::size_t ahead_max = 1 << 20;  // a client that reads slowly holds its server back
  return std::make_shared<std::thread>([this, pipe, served, path, body] {
    const Status done = upstream_.post(
        served.address, path, body,
        [&](const UpstreamHead& head) {
          const std::scoped_lock lock(pipe->mutex);
          pipe->head = head;
          pipe->has_head = true;
          pipe->changed.notify_all();
          return !pipe->is_left;
        },
        [&](std::string_view bytes) {
          std::unique_lock lock(pipe->mutex);
          pipe->changed.wait(lock, [&] { return pipe->is_left || pipe->text.size() < ahead_max; });
          pipe->text.append(bytes);
          pipe->changed.notify_all();
          return !pipe->is_left;
        });
    const std::scoped_lock lock(pipe->mutex);
    if (!done.ok()) pipe->trouble = done.error().what;
    pipe->has_ended = true;
    pipe->changed.notify_all();
  });
}
Reply ChatApi::streamed(const Served& served, const std::string& path, const std::string& body,
                        const std::string& model) {
  const auto pipe = std::make_shared<Pipe>();
  const auto asker = ask_into(pipe, served, path, body);
  // Ends the asking, whoever lets go of it last.
  const std::shared_ptr<void> guard(nullptr, [pipe, asker](void*) {
    {
      const std::scoped_lock lock(pipe->mutex);
      pipe->is_left = true;
    }
    pipe->changed.notify_all();
    asker->join();
  });
  std::unique_lock lock(pipe->mutex);
  pipe->changed.wait(lock, [&] { return pipe->has_head || pipe->has_ended; });
  if (!pipe->has_head) {
    const std::string why = pipe->trouble;
    lock.unlock();
    return reply(not_ready(model, why));
  }
  Reply out;
  out.status = pipe->head.status;
  out.type = pipe->head.type;
  if (!pipe->head.retry_after.empty())
    out.headers.emplace_back("Retry-After", pipe->head.retry_after);
  if (out.status != 200) {  // an error is no stream
    pipe->changed.wait(lock, [&] { return pipe->has_ended; });
    out.body = renamed(std::move(pipe->text), served.name, model);
    lock.unlock();
    return out;
  }
  lock.unlock();
  out.headers.emplace_back("Cache-Control", "no-cache");
  out.headers.emplace_back("X-Accel-Buffering", "no");
  out.stream = [pipe, guard, served, model](const Bytes& sink) {
    std::string rest;
    for (bool has_ended = false; !has_ended;) {
      std::string trouble;
      {
        std::unique_lock held(pipe->mutex);
        pipe->changed.wait(held, [&] { return pipe->has_ended || !pipe->text.empty(); });
        rest += std::exchange(pipe->text, "");
        has_ended = pipe->has_ended;
        trouble = pipe->trouble;
        pipe->changed.notify_all();
      }
      const std::size_t end = has_ended ? rest.size() : rest.rfind('\n') + 1;  // whole lines
      std::string piece = renamed(rest.substr(0, end), served.name, model);
      rest.erase(0, end);
      if (!trouble.empty())  // else a stream that ends early looks like one that is done
        piece += "data: " + error_body({500, trouble, "", "", "server_error"}) + "\n\n";
      if (!piece.empty() && !sink(piece)) return;
    }
  };
  return out;
}

Answer<Json> ChatApi::models() const {
  const std::vector<Json> all = models_of(*seen_.now());
  return Json{{"object", "list"},
              {"data", all},
              {"has_more", false},
              {"first_id", all.empty() ? Json() : all.front()["id"]},
              {"last_id", all.empty() ? Json() : all.back()["id"]}};
}
Answer<Json> ChatApi::model(const std::string& name) const {
  for (const Json& model : models_of(*seen_.now()))
    if (model["id"] == name) return model;
  return no_model(name);
}
}  // namespace kairo::gateway
