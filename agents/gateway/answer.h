// agents/gateway/answer.h - what the gateway's API functions get and give: OpenAI's shapes, no
// sockets. Only server.cpp knows who speaks HTTP.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::gateway {
using Json = nlohmann::ordered_json;  // answers keep OpenAI's order of fields

// An error as the SDKs read it. param, code: "" = null.
struct Refusal {
  int status = 400;
  std::string message = {}, param = {}, code = {};
  std::string type = "invalid_request_error";
  int retry_after_s = -1;  // -1: it is not said
};
Refusal refusal_of(const Error& error);  // of the cluster or the disk
Refusal no_such(const std::string& what, const std::string& id, const std::string& param = "id",
                const std::string& code = "");
std::string error_body(const Refusal& refusal);

// A value, or why there is none; TRY works with it.
template <class T>
class [[nodiscard]] Answer {
 public:
  Answer(T value) : v_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: `return value;`
  Answer(Refusal no) : v_(std::in_place_index<1>, std::move(no)) {}  // NOLINT: `return refusal;`
  Answer(const Error& e) : v_(std::in_place_index<1>, refusal_of(e)) {}  // NOLINT: from TRY
  bool ok() const { return v_.index() == 0; }
  const T& value() const& { return std::get<0>(v_); }
  T value() && { return std::get<0>(std::move(v_)); }
  const Refusal& error() const { return std::get<1>(v_); }

 private:
  std::variant<T, Refusal> v_;
};

using Query = std::map<std::string, std::string>;     // unescaped; the first of a name counts
using Bytes = std::function<bool(std::string_view)>;  // false: no more is wanted
struct Request {
  std::string method;
  std::vector<std::string> path;  // split at '/', then unescaped: an id may hold %2F
  Query query;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string owner;                           // whose key it is, "" = nobody's
  // Gives the body piece by piece; false: it did not come whole, or the receiver said no.
  std::function<bool(const Bytes&)> read;
  std::string header(const std::string& lower_name) const;
};
struct Reply {
  int status = 200;
  std::string type = "application/json", body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string file;  // its bytes are the body, when not empty
  // Writes the body piece by piece until it returns; false from the sink: nobody listens any more.
  std::function<void(const Bytes& sink)> stream;
};
Reply reply(const Json& body);
Reply reply(const Refusal& refusal);
Reply reply(const Answer<Json>& answer);
// A whole JSON body of at most bytes_max. An empty one is {}.
Answer<Json> json_body(const Request& request, std::size_t bytes_max);

// "/v1/models/a%2Fb" -> {"v1", "models", "a/b"}; without the query. Empty parts stay, but the last.
std::vector<std::string> split_path(std::string_view target);
Query parse_query(std::string_view target);  // what is behind the '?'

// A page of `items`, which are newest first, as the SDKs walk through them: `after` is the id of
// the last item that they have, an unknown one is refused, since a client would begin anew for
// ever.
Answer<Json> page(const std::vector<Json>& items, const Query& query, std::int64_t limit,
                  std::int64_t limit_max);
// A number of the query; refused outside [least, most].
Answer<std::int64_t> number_in(const Query& query, const std::string& name, std::int64_t otherwise,
                               std::int64_t least, std::int64_t most);
}  // namespace kairo::gateway
