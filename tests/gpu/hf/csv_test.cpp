// tests/gpu/hf/csv_test.cpp - proves: CSV is read as Python's csv module reads it (excel,
// newline=''), whose rows stand here; what it would guess at (rows of another length, columns
// without a name of their own, a quote that never closes) is an error.
#include <doctest/doctest.h>

#include <vector>

#include "gpu/formats/files.h"
#include "gpu/hf/rows.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

TEST_CASE("csv: as Python's csv module") {
  struct CsvRow {
    std::string text;  // the file, which is the row's name, too
    std::vector<std::string> rows;
    std::string error;
  };
  const CsvRow cases[] = {
      {"a,b\n1,2\n", {"{\"a\":\"1\",\"b\":\"2\"}"}, ""},
      {"a,b\r\n1,2\r\n", {"{\"a\":\"1\",\"b\":\"2\"}"}, ""},
      {"a,b\r1,2\r3,4", {"{\"a\":\"1\",\"b\":\"2\"}", "{\"a\":\"3\",\"b\":\"4\"}"}, ""},
      {"a\nA 27\" screen is wide\nA 24\" screen is not\nplain\n",
       {"{\"a\":\"A 27\\\" screen is wide\"}", "{\"a\":\"A 24\\\" screen is not\"}",
        "{\"a\":\"plain\"}"},
       ""},
      {"a,b\nx,a 24\" and a 27\" one\n", {"{\"a\":\"x\",\"b\":\"a 24\\\" and a 27\\\" one\"}"}, ""},
      {"a,b\n\"He \"\"hi\"\"\",ok\n\"a\"b,c\n",
       {"{\"a\":\"He \\\"hi\\\"\",\"b\":\"ok\"}", "{\"a\":\"ab\",\"b\":\"c\"}"},
       ""},
      {"a\n\"x\ny\"\n", {"{\"a\":\"x\\ny\"}"}, ""},
      {"a\n\"x\r\ny\"\r\n", {"{\"a\":\"x\\r\\ny\"}"}, ""},
      {"a\n\"x\ry\"\n", {"{\"a\":\"x\\ry\"}"}, ""},
      {"a,b\n\n1,2\n\n\n3,4\n", {"{\"a\":\"1\",\"b\":\"2\"}", "{\"a\":\"3\",\"b\":\"4\"}"}, ""},
      {"\n\na,b\n1,2\n", {"{\"a\":\"1\",\"b\":\"2\"}"}, ""},
      {"a,b\n\"\",\n", {"{\"a\":\"\",\"b\":\"\"}"}, ""},
      {"a\n\"\"\nx\n", {"{\"a\":\"\"}", "{\"a\":\"x\"}"}, ""},
      {"a\n\" \"\nx\n", {"{\"a\":\" \"}", "{\"a\":\"x\"}"}, ""},
      {"a,b\n 1, \"q\"\n", {"{\"a\":\" 1\",\"b\":\" \\\"q\\\"\"}"}, ""},
      {"a,b\n1,\"q\" \n", {"{\"a\":\"1\",\"b\":\"q \"}"}, ""},
      {"a,b\n\"q\"x\"y\",z\n", {"{\"a\":\"qx\\\"y\\\"\",\"b\":\"z\"}"}, ""},
      {"a,b\n\"q\"\"x\"y,z\n", {"{\"a\":\"q\\\"xy\",\"b\":\"z\"}"}, ""},
      {"a\n\"a\"\"\n", {}, "a quote opens here and is never closed"},
      {"a\n\"\n", {}, "a quote opens here and is never closed"},
      {"a\n\"unclosed\nmore\n", {}, "a quote opens here and is never closed"},
      {"a,b\n1,\"x\n2,3\n", {}, "a quote opens here and is never closed"},
      {"a,b\n\"x\ny\",\"open\nz\n", {}, "a quote opens here and is never closed"},
      {"a,b\n1\n", {}, "values for the"},
      {"a,b\n1,2,3\n", {}, "values for the"},
      {"a,b\n1,2,\n", {}, "values for the"},
      {"a;b\n1;2\n", {"{\"a;b\":\"1;2\"}"}, ""},
      {"a\tb\n1\t2\n", {"{\"a\\tb\":\"1\\t2\"}"}, ""},
      {"a,a\n1,2\n", {}, "column"},
      {"a,\n1,2\n", {}, "column"},
      {",a\n0,x\n", {}, "column"},
      {"a\nx", {"{\"a\":\"x\"}"}, ""},
      {"a\n\"x\"", {"{\"a\":\"x\"}"}, ""},
      {"a", {}, ""},
      {"", {}, ""},
      {"\n", {}, ""},
      {"a,b", {}, ""},
      {"a\n\xC3\xA9\xF0\x9F\x98\x80\n", {"{\"a\":\"\xC3\xA9\xF0\x9F\x98\x80\"}"}, ""},
      {"a\n\xE2\x80\xA8x\n", {"{\"a\":\"\xE2\x80\xA8x\"}"}, ""},
      {"a,b\n\"1,2\",3\n", {"{\"a\":\"1,2\",\"b\":\"3\"}"}, ""},
      {"a\n'q'\n", {"{\"a\":\"'q'\"}"}, ""},
      {"a\n\\\"x\\\"\n", {"{\"a\":\"\\\\\\\"x\\\\\\\"\"}"}, ""},
      {"a,b\n\"a\\\"b\",c\n", {"{\"a\":\"a\\\\b\\\"\",\"b\":\"c\"}"}, ""},
      {"a,b\n1,2\r\r\n3,4\n", {"{\"a\":\"1\",\"b\":\"2\"}", "{\"a\":\"3\",\"b\":\"4\"}"}, ""},
      {"a,b\r\n1,\"2\r\n\"\r\n", {"{\"a\":\"1\",\"b\":\"2\\r\\n\"}"}, ""},
      {"\"a\",\"b\"\n1,2\n", {"{\"a\":\"1\",\"b\":\"2\"}"}, ""},
      {"\"a\nb\",c\n1,2\n", {"{\"a\\nb\":\"1\",\"c\":\"2\"}"}, ""},
      {"a,b\n\"\"\"x\"\"\",\"\"\n", {"{\"a\":\"\\\"x\\\"\",\"b\":\"\"}"}, ""},
      {"a,b\n,\"\n\"\n", {"{\"a\":\"\",\"b\":\"\\n\"}"}, ""},
      {"a\n\"x\"\"y\"\"z\"\n", {"{\"a\":\"x\\\"y\\\"z\"}"}, ""},
      {"a\nx\"y\"z\n", {"{\"a\":\"x\\\"y\\\"z\"}"}, ""},
      {"a,b\n\" x\",y \n", {"{\"a\":\" x\",\"b\":\"y \"}"}, ""},
      {"a\n,\n", {}, "values for the"},
      {"\xEF\xBB\xBF"
       "a,b\n1,2\n",
       {"{\"a\":\"1\",\"b\":\"2\"}"},
       ""},
      {"\xEF\xBB\xBF\"a\",b\n1,2\n", {"{\"a\":\"1\",\"b\":\"2\"}"}, ""},
      {"a\n\x0Bx\n", {"{\"a\":\"\\u000bx\"}"}, ""},
      {"a\n\x1Cx\n", {"{\"a\":\"\\u001cx\"}"}, ""},
      {"a\n \n", {"{\"a\":\" \"}"}, ""},
      {"a,b\n\"x\"\n,y\n", {}, "values for the"},
      {"a\n\xFF\n", {}, "line 2: not UTF-8"},
      {std::string("a\n\0\n", 4), {}, "NUL bytes"},
      {std::string("\xFF\xFE"
                   "a\0",
                   4),
       {},
       "is UTF-16; save the file as UTF-8"},
  };
  const test::TempFolder folder;
  const std::string path = folder.path() + "/a.csv";
  for (const auto& c : cases) {
    CAPTURE(c.text);
    REQUIRE(write_file(path, c.text).ok());
    std::vector<std::string> rows;
    const auto count = read_rows(path, {}, [&](std::size_t, std::string_view json) {
      rows.emplace_back(json);
      return ok();
    });
    CHECK(rows == c.rows);
    CHECK(count.ok() == c.error.empty());
    if (!count.ok()) CHECK(count.error().what.find(c.error) != std::string::npos);
  }
}
