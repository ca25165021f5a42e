// What this proves: forms are read in any order of parts and any cut of bytes; what is no form is
// refused in words.
#include "agents/gateway/form.h"

#include <doctest/doctest.h>

#include <vector>

using namespace kairo;
using namespace kairo::gateway;
namespace {
struct Read {
  std::vector<std::string> parts;  // "name|filename|bytes"
  std::string wrong;
  bool is_whole = false;
};
Read read(const std::string& body, std::size_t cut, const std::string& boundary = "B") {
  Read out;
  FormReader reader(
      boundary,
      [&](const FormPart& part) {
        out.parts.push_back(part.name + "|" + (part.is_file ? part.filename : "-") + "|");
        return ok();
      },
      [&](std::string_view bytes) {
        out.parts.back().append(bytes);
        return ok();
      });
  for (std::size_t at = 0; at < body.size(); at += cut) {
    const Status fed = reader.feed(std::string_view(body).substr(at, cut));
    if (!fed.ok()) out.wrong = fed.error().what;
    if (!fed.ok()) return out;
  }
  out.is_whole = reader.is_whole();
  return out;
}
const std::string python_form =
    "--B\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n"
    "--B\r\nContent-Disposition: form-data; name=\"expires_after[anchor]\"\r\n\r\ncreated_at\r\n"
    "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".jsonl\"\r\n"
    "Content-Type: application/octet-stream\r\n\r\n{}\n--B-\r\n-\r\n--B--\r\n";
const std::string node_form =
    "a preamble\r\n--B\r\ncontent-disposition: form-data;name=file;filename=upload\r\n\r\n\r\n"
    "--B \t\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n--B--";
}  // namespace

TEST_CASE("both orders of parts, whatever the cut") {
  for (std::size_t cut = 1; cut <= python_form.size(); cut += cut < 40 ? 1 : 37) {
    CAPTURE(cut);
    const Read python = read(python_form, cut);
    CHECK(python.wrong == "");
    CHECK(python.is_whole);
    CHECK(python.parts == std::vector<std::string>{"purpose|-|fine-tune",
                                                   "expires_after[anchor]|-|created_at",
                                                   "file|a \"b\".jsonl|{}\n--B-\r\n-"});
    const Read node = read(node_form, cut);
    CHECK(node.wrong == "");
    CHECK(node.is_whole);
    CHECK(node.parts == std::vector<std::string>{"file|upload|", "purpose|-|fine-tune"});
  }
}
TEST_CASE("a form that ends early is not whole") {
  CHECK_FALSE(read(python_form.substr(0, python_form.size() - 4), 10).is_whole);
  CHECK_FALSE(read("", 1).is_whole);
}
TEST_CASE("what is no form") {
  struct Row {
    const char *name, *body, *wrong;
  };
  const std::string head = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n";
  const std::string long_head = head + "X: " + std::string(9000, 'x') + "\r\n\r\n";
  std::string many;
  for (int i = 0; i < 33; ++i) many += head + "\r\n1\r\n";
  const Row rows[] = {
      {"no name", "--B\r\nX: y\r\n\r\n1\r\n--B--", "a part has no name"},
      {"a line without a colon", "--B\r\nX\r\n\r\n1\r\n--B--",
       "a part's head has a line without a :"},
      {"words behind a boundary", "--Bx\r\n", "something else stands behind a boundary"},
      {"a long head", long_head.c_str(), "a part's head is longer than 8 KiB"},
      {"many parts", many.c_str(), "it has more than 32 parts"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(read(row.body, 100).wrong ==
          std::string("the body is not multipart/form-data as its head says: ") + row.wrong);
  }
}
TEST_CASE("the boundary of a Content-Type") {
  CHECK(form_boundary("multipart/form-data; boundary=ab'c").value() == "ab'c");
  CHECK(form_boundary("Multipart/Form-Data; charset=x; Boundary=\"a b\"").value() == "a b");
  CHECK(form_boundary("application/json").error().what ==
        "Content-Type is \"application/json\"; a file is sent as multipart/form-data");
  CHECK_FALSE(form_boundary("multipart/form-data").ok());
  CHECK_FALSE(form_boundary("multipart/form-data; boundary=").ok());
  CHECK_FALSE(form_boundary("multipart/form-data; boundary=" + std::string(71, 'a')).ok());
}
