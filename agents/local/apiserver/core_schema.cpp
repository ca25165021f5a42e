// agents/local/apiserver/core_schema.cpp - field tables; source: Kubernetes' API reference, v1.32.
#include "agents/local/apiserver/core_schema.h"

#include "agents/local/apiserver/field_types.h"

namespace kairo::cluster {
namespace {
Json rule(const char* text) {
  return Json::parse(text);
}
const Json& metadata() {
  static const Json out = rule(R"({
    "name": "string", "generateName": "string", "namespace": "string", "uid": "string",
    "resourceVersion": "string", "generation": "integer", "deletionGracePeriodSeconds": "integer",
    "labels": {"*": "string"}, "annotations": {"*": "string"}, "finalizers": "strings",
    "ownerReferences": [{"apiVersion": "string", "kind": "string", "name": "string",
      "uid": "string", "controller": "boolean", "blockOwnerDeletion": "boolean"}]})");
  return out;
}
const Json& container() {
  static const Json out = rule(R"({
    "name": "string", "image": "string", "imagePullPolicy": "string", "workingDir": "string",
    "command": "strings", "args": "strings", "stdin": "boolean", "tty": "boolean",
    "env": [{"name": "string", "value": "string", "valueFrom": "object"}],
    "ports": [{"name": "string", "containerPort": "int32", "hostPort": "int32",
               "protocol": "string"}],
    "resources": {"limits": {"*": "quantity"}, "requests": {"*": "quantity"}},
    "volumeMounts": [{"name": "string", "mountPath": "string", "subPath": "string",
                      "readOnly": "boolean"}],
    "securityContext": {"privileged": "boolean", "runAsUser": "integer", "runAsGroup": "integer",
                        "runAsNonRoot": "boolean", "readOnlyRootFilesystem": "boolean",
                        "allowPrivilegeEscalation": "boolean",
                        "capabilities": {"add": "strings", "drop": "strings"}}})");
  return out;
}
Json pod_spec() {
  Json out = rule(R"({
    "nodeName": "string", "nodeSelector": {"*": "string"}, "restartPolicy": "string",
    "serviceAccountName": "string", "schedulerName": "string", "priorityClassName": "string",
    "runtimeClassName": "string", "hostname": "string", "subdomain": "string",
    "terminationGracePeriodSeconds": "integer", "activeDeadlineSeconds": "integer",
    "hostNetwork": "boolean", "hostPID": "boolean", "hostIPC": "boolean",
    "automountServiceAccountToken": "boolean", "enableServiceLinks": "boolean",
    "imagePullSecrets": [{"name": "string"}],
    "tolerations": [{"key": "string", "operator": "string", "value": "string", "effect": "string",
                     "tolerationSeconds": "integer"}],
    "securityContext": {"runAsUser": "integer", "runAsGroup": "integer", "fsGroup": "integer",
                        "runAsNonRoot": "boolean", "fsGroupChangePolicy": "string",
                        "seccompProfile": {"type": "string", "localhostProfile": "string"}}})");
  out["containers"] = out["initContainers"] = Json::array({container()});
  Json volume = volume_source_rule();
  volume["name"] = "string";
  out["volumes"] = Json::array({volume});
  return out;
}
Json claim_spec() {
  return rule(R"({
    "accessModes": "strings", "storageClassName": "string", "volumeName": "string",
    "volumeMode": "string", "selector": {"matchLabels": {"*": "string"}},
    "resources": {"limits": {"*": "quantity"}, "requests": {"*": "quantity"}}})");
}
Json template_of() {
  return {{"metadata", metadata()}, {"spec", pod_spec()}};
}
Json job_spec() {
  Json out = rule(R"({
    "parallelism": "int32", "completions": "int32", "backoffLimit": "int32",
    "activeDeadlineSeconds": "integer", "ttlSecondsAfterFinished": "int32", "suspend": "boolean",
    "manualSelector": "boolean", "completionMode": "string"})");
  out["template"] = template_of();
  return out;
}
Json stateful_set_spec() {
  Json out = rule(R"({
    "replicas": "int32", "serviceName": "string", "podManagementPolicy": "string",
    "minReadySeconds": "int32", "revisionHistoryLimit": "int32",
    "selector": {"matchLabels": {"*": "string"}}})");
  out["template"] = template_of();
  out["volumeClaimTemplates"] =
      Json::array({Json{{"metadata", metadata()}, {"spec", claim_spec()}}});
  return out;
}
// By plural; all without metadata.
const Json& tables() {
  static const Json out = [] {
    Json all = rule(R"({
      "configmaps": {"data": {"*": "string"}, "binaryData": {"*": "base64"},
                     "immutable": "boolean"},
      "secrets": {"data": {"*": "base64"}, "stringData": {"*": "string"}, "type": "string",
                  "immutable": "boolean"},
      "services": {"spec": {
        "type": "string", "selector": {"*": "string"}, "clusterIP": "string",
        "clusterIPs": "strings", "externalName": "string", "externalIPs": "strings",
        "publishNotReadyAddresses": "boolean", "sessionAffinity": "string",
        "ports": [{"name": "string", "port": "int32", "targetPort": "int-or-string",
                   "nodePort": "int32", "protocol": "string"}]}},
      "persistentvolumes": {"spec": {
        "capacity": {"*": "quantity"}, "accessModes": "strings", "storageClassName": "string",
        "volumeMode": "string", "persistentVolumeReclaimPolicy": "string",
        "mountOptions": "strings", "hostPath": {"path": "string", "type": "string"},
        "local": {"path": "string"}, "claimRef": {"name": "string", "namespace": "string"}}},
      "nodes": {"spec": {"unschedulable": "boolean", "providerID": "string",
        "taints": [{"key": "string", "value": "string", "effect": "string"}]}}
    })");
    all["persistentvolumeclaims"]["spec"] = claim_spec();
    all["pods"]["spec"] = pod_spec();
    all["jobs"]["spec"] = job_spec();
    all["statefulsets"]["spec"] = stateful_set_spec();
    return all;
  }();
  return out;
}
}  // namespace

const Json& volume_source_rule() {
  static const Json out = rule(R"({"...": true,
    "configMap": {"...": true, "name": "string", "defaultMode": "int32", "optional": "boolean",
      "items": [{"key": "string", "path": "string", "mode": "int32"}]},
    "secret": {"...": true, "secretName": "string", "defaultMode": "int32", "optional": "boolean",
      "items": [{"key": "string", "path": "string", "mode": "int32"}]},
    "persistentVolumeClaim": {"...": true, "claimName": "string", "readOnly": "boolean"},
    "hostPath": {"...": true, "path": "string", "type": "string"},
    "emptyDir": {"...": true, "medium": "string", "sizeLimit": "quantity"},
    "nfs": {"...": true, "server": "string", "path": "string", "readOnly": "boolean"},
    "csi": {"...": true, "driver": "string", "readOnly": "boolean", "fsType": "string",
      "volumeAttributes": {"*": "string"}}})");
  return out;
}

Status check_core_types(const Kind& kind, const Json& object) {
  if (object.contains("metadata")) TRY(check_types(object["metadata"], metadata(), "metadata"));
  const bool is_core = kind.group.empty() || kind.group == "batch" || kind.group == "apps";
  if (!is_core || !tables().contains(kind.plural)) return ok();
  return check_types(object, tables()[kind.plural], "");
}
}  // namespace kairo::cluster
