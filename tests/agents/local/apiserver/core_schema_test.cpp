// What this proves: a field of the wrong type is refused with its name, its value and what to
// write instead, as the API server refuses it; what it takes is taken.
#include "agents/local/apiserver/core_schema.h"

#include <doctest/doctest.h>

#include "agents/cluster/kinds.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
std::string wrong(const std::string& path, const std::string& want, const std::string& got,
                  const std::string& remedy = "") {
  return path + ": Invalid value: \"" + got + "\": " + path + " in body must be of type " + want +
         ": \"" + got + "\"" + remedy;
}
}  // namespace

TEST_CASE("types of Kubernetes' own objects") {
  struct Row {
    std::string name;
    Kind kind;
    std::string object, refusal;
  };
  const Row rows[] = {
      {"text", config_maps, R"({"data":{"a":"1"},"immutable":true})", ""},
      {"a number as text", config_maps, R"({"data":{"epochs":3}})",
       wrong("data.epochs", "string", "integer", " (it is 3; quote it as it is written)")},
      {"a fraction", config_maps, R"({"data":{"lr":0.5}})",
       wrong("data.lr", "string", "number", " (it is 0.5; quote it as it is written)")},
      {"a switch as text", config_maps, R"({"data":{"on":true}})",
       wrong("data.on", "string", "boolean", " (it is true; quote it as it is written)")},
      {"an object as text", config_maps, R"({"data":{"training_config.yaml":{"a":1}}})",
       wrong("data.training_config.yaml", "string", "object",
             " (to make text of the lines put a | behind the colon)")},
      {"data is a list", config_maps, R"({"data":[]})", wrong("data", "object", "array")},
      {"a switch in quotes", config_maps, R"({"immutable":"yes"})",
       wrong("immutable", "boolean", "string", " (it is \"yes\"; leave out the quotes)")},
      {"binaryData", config_maps, R"({"binaryData":{"a":"aGk="}})", ""},
      {"binaryData that is text", config_maps, R"({"binaryData":{"a":"hi there"}})",
       "binaryData.a: Invalid value: illegal base64 data (plain text belongs into data)"},
      {"a label", config_maps, R"({"metadata":{"labels":{"v":1}}})",
       wrong("metadata.labels.v", "string", "integer", " (it is 1; quote it as it is written)")},
      {"an annotation", workspaces, R"({"metadata":{"annotations":{"on":true}}})",
       wrong("metadata.annotations.on", "string", "boolean",
             " (it is true; quote it as it is written)")},
      {"a name", secrets, R"({"metadata":{"name":7}})",
       wrong("metadata.name", "string", "integer", " (it is 7; quote it as it is written)")},
      {"a secret", secrets, R"({"data":{"p":"aHVudGVyMg=="},"stringData":{"q":"x"}})", ""},
      {"a plain password", secrets, R"({"data":{"p":"hunter2"}})",
       "data.p: Invalid value: illegal base64 data (plain text belongs into stringData)"},
      {"a number in stringData", secrets, R"({"stringData":{"p":1234}})",
       wrong("stringData.p", "string", "integer", " (it is 1234; quote it as it is written)")},
      {"a service", services,
       R"({"spec":{"selector":{"a":"b"},"ports":[{"port":80,"targetPort":"http"},{"port":1,"targetPort":2}]}})",
       ""},
      {"a port in quotes", services, R"({"spec":{"ports":[{"port":"80"}]}})",
       wrong("spec.ports[0].port", "integer", "string", " (it is \"80\"; leave out the quotes)")},
      {"a port beyond 32 bits", services, R"({"spec":{"ports":[{"port":99999999999}]}})",
       "spec.ports[0].port: Invalid value: 99999999999: it is beyond 32 bits"},
      {"a selector", services, R"({"spec":{"selector":{"v":2}}})",
       wrong("spec.selector.v", "string", "integer", " (it is 2; quote it as it is written)")},
      {"env", pods, R"({"spec":{"containers":[{"name":"a","env":[{"name":"N","value":1}]}]}})",
       wrong("spec.containers[0].env[0].value", "string", "integer",
             " (it is 1; quote it as it is written)")},
      {"args", jobs,
       R"({"spec":{"template":{"spec":{"containers":[{"name":"a","args":["-n",3]}]}}}})",
       wrong("spec.template.spec.containers[0].args[1]", "string", "integer",
             " (it is 3; quote it as it is written)")},
      {"args that are one text", pods, R"({"spec":{"containers":[{"name":"a","args":"-n"}]}})",
       wrong("spec.containers[0].args", "array", "string",
             " (it is \"-n\"; make it a list: [\"-n\"])")},
      {"nodeSelector", stateful_sets,
       R"({"spec":{"template":{"spec":{"nodeSelector":{"gpu":true}}}}})",
       wrong("spec.template.spec.nodeSelector.gpu", "string", "boolean",
             " (it is true; quote it as it is written)")},
      {"quantities", pods,
       R"({"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":0.5,"memory":"1Gi","nvidia.com/gpu":1}}}]}})",
       ""},
      {"a quantity that is a switch", claims,
       R"({"spec":{"resources":{"requests":{"storage":true}}}})",
       wrong("spec.resources.requests.storage", "string", "boolean",
             " (it is true; quote it as it is written)")},
      {"a mode", pods,
       R"({"spec":{"volumes":[{"name":"v","configMap":{"name":"c","defaultMode":292}}]}})", ""},
      {"what the table does not know", pods, R"({"spec":{"overhead":{"cpu":1},"x":[1]}})", ""},
      {"null is as absent", pods, R"({"spec":{"containers":null,"nodeName":null}})", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Status seen = check_core_types(row.kind, Json::parse(row.object));
    CHECK((seen.ok() ? "" : seen.error().what) == row.refusal);
  }
}
