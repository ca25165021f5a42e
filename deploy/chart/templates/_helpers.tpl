{{- define "kairo.labels" -}}
app.kubernetes.io/name: kairo
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}
{{- define "kairo.selector" -}}
app.kubernetes.io/name: kairo
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "kairo.image" -}}
{{ .Values.image.registry }}/kairo:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- define "kairo.hasNats" -}}{{ if not .Values.bus.external.url }}yes{{ end }}{{- end }}
{{- define "kairo.busUrl" -}}
{{ .Values.bus.external.url | default (printf "tls://kairo-nats.%s.svc:4222" .Release.Namespace) }}
{{- end }}
{{- /* By which pods of any namespace fetch what was uploaded; the launcher knows it too. */ -}}
{{- define "kairo.gatewayUrl" -}}
http://kairo-gateway.{{ .Release.Namespace }}.svc
{{- end }}
{{- define "kairo.caSecret" -}}
{{ if include "kairo.hasNats" . }}kairo-nats-tls{{ else }}{{ .Values.bus.external.caSecret }}{{ end }}
{{- end }}

{{- /* What each agent is told; docs/configuration.md. */ -}}
{{- define "kairo.env" -}}
- {name: KAIRO_MODE, value: in-cluster}
- {name: KAIRO_LOG, value: {{ .root.Values.log }}}
- {name: KAIRO_HEALTH_ADDRESS, value: "0.0.0.0:{{ .port }}"}
- {name: KAIRO_BUS_URL, value: {{ include "kairo.busUrl" .root | quote }}}
- {name: KAIRO_BUS_PASSWORD_FILE, value: /etc/kairo/bus/password}
{{- if include "kairo.caSecret" .root }}
- {name: KAIRO_BUS_CA_FILE, value: /etc/kairo/bus-ca/ca.crt}
{{- end }}
{{- with .root.Values.bus.cluster }}
- {name: KAIRO_CLUSTER, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- define "kairo.mounts" -}}
- {name: bus-{{ .agent }}, mountPath: /etc/kairo/bus, readOnly: true}
{{- if include "kairo.caSecret" .root }}
- {name: bus-ca, mountPath: /etc/kairo/bus-ca, readOnly: true}
{{- end }}
{{- end }}
{{- define "kairo.passwordVolume" -}}
- name: bus-{{ .agent }}
  secret: {secretName: kairo-bus-{{ .agent }}, items: [{key: password, path: password}], defaultMode: 0440}
{{- end }}
{{- define "kairo.caVolume" -}}
{{- with include "kairo.caSecret" . }}
- name: bus-ca
  secret: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}

{{- define "kairo.probes" -}}
ports: [{name: {{ .name }}, containerPort: {{ .port }}}]
startupProbe: {httpGet: {path: /healthz, port: {{ .name }}}, periodSeconds: 1, failureThreshold: 60}
livenessProbe: {httpGet: {path: /healthz, port: {{ .name }}}, periodSeconds: 10, timeoutSeconds: 5}
readinessProbe: {httpGet: {path: /readyz, port: {{ .name }}}, periodSeconds: 5, timeoutSeconds: 5}
{{- end }}
{{- define "kairo.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "kairo.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
{{- define "kairo.pod" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .Values.priorityClass.name }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- /* What is there already, in base64; else what is made now. */ -}}
{{- define "kairo.kept" -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- if and $there $there.data -}}{{ index $there.data .key }}
{{- else -}}{{ printf "k%s" (randAlphaNum 39) | b64enc }}{{- end -}}
{{- end }}
