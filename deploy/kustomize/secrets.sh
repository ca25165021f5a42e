#!/usr/bin/env bash
# Prints the Secrets that the bus needs where nobody makes them: a password for each agent, a CA and a certificate.
# Once, not again: usage: secrets.sh [NAMESPACE] | kubectl apply -f -
set -euo pipefail
namespace=${1:-kairo-system}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for agent in watcher provisioner launcher node pusher web admin; do
  # It begins with a letter: nats-server reads a value that begins with a digit as a number.
  printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: kairo-bus-%s, namespace: %s}\nstringData: {password: k%s}\n---\n' \
    "$agent" "$namespace" "$(openssl rand -hex 20)"
done
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
service=kairo-nats.$namespace.svc
{
  openssl req -x509 $key -keyout ca.key -out ca.crt -subj /CN=kairo-nats-ca -days 3650
  openssl req $key -keyout tls.key -out tls.csr -subj /CN=kairo-nats
  openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out tls.crt -extfile <(
    echo "subjectAltName=DNS:kairo-nats,DNS:kairo-nats.$namespace,DNS:$service,DNS:*.kairo-nats-peers.$namespace.svc"
    echo "extendedKeyUsage=serverAuth,clientAuth"
  )
} 2>/dev/null
printf 'apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: kairo-nats-tls, namespace: %s}\ndata:\n' "$namespace"
for file in ca.crt tls.crt tls.key; do printf '  %s: %s\n' "$file" "$(base64 -w0 "$file")"; done
