{{- define "doltdb-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "doltdb-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "doltdb-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "doltdb-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "doltdb-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "doltdb-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "doltdb-operator.serviceAccountName" -}}
{{- default (ternary (include "doltdb-operator.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "doltdb-operator.leaseNamespace" -}}
{{- default .Release.Namespace .Values.leaderElection.namespace }}
{{- end }}

{{- /* The Secret with the key for digests of Secrets. */ -}}
{{- define "doltdb-operator.digestKey" -}}
{{- default (printf "%s-digest-key" (include "doltdb-operator.fullname" . | trunc 52 | trimSuffix "-")) .Values.digestKey.name }}
{{- end }}

{{- /* The subject of all bindings. */ -}}
{{- define "doltdb-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "doltdb-operator.serviceAccountName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{- /* The host's settings file. */ -}}
{{- define "doltdb-operator.settings" -}}
product: doltdb-operator
domain: k8s.dolthub.com
{{- with .Values.takeOver.fieldManagers }}
predecessors: {{ toJson . }}
{{- end }}
{{- with .Values.watchNamespaces }}
namespaces: {{ toJson . }}
{{- end }}
{{- with .Values.leaderElection }}
{{- if .enabled }}
leaderElection:
  name: {{ .id | quote }}
  namespace: {{ include "doltdb-operator.leaseNamespace" $ | quote }}
  leaseDurationSeconds: {{ .leaseDurationSeconds }}
  renewDeadlineSeconds: {{ .renewDeadlineSeconds }}
  retryPeriodSeconds: {{ .retryPeriodSeconds }}
{{- end }}
{{- end }}
digestKey:
  name: {{ include "doltdb-operator.digestKey" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
modules:
  folder: /modules
  # A folder in the volume, not the volume itself: the host creates it for itself alone.
  cache: /var/cache/doltdb-operator/modules
  {{- with .Values.modules }}
  {{- if .configMaps.enabled }}
  configMaps:
    namespace: {{ $.Release.Namespace | quote }}
  {{- end }}
  registries: {{ toJson .registries }}
  probationSeconds: {{ int64 .probationSeconds }}
  signatures:
    mode: {{ .signatures.mode }}
    keys: {{ toJson .signatures.keys }}
  {{- end }}
{{- with .Values.limits }}
limits:
  {{- range $limit, $value := . }}
  {{ $limit }}: {{ int64 $value }}
  {{- end }}
{{- end }}
reconcilers:
  {{- range $slot, $reconciler := .Values.reconcilers }}
  {{- if $reconciler }}
  {{ $slot | quote }}:
    {{- $settings := mustMergeOverwrite (deepCopy $.Values.settings) (default dict $reconciler.settings) }}
    {{- set (deepCopy $reconciler) "settings" $settings | toYaml | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}

{{- /* Arguments of the Go operator that a values file may still have: those that change nothing are left out, the others name their place. */ -}}
{{- define "doltdb-operator.formerArguments" -}}
leader-election-id: leaderElection.id
leader-election-namespace: leaderElection.namespace
metrics-bind-address: metrics.service (metrics are always served, on port 8080)
metrics-secure: metrics.service (metrics are served as plain HTTP, on port 8080)
health-probe-bind-address: nothing (health is served on port 8080)
enable-http2: nothing (there is no HTTP/2 to turn off)
max-concurrent-reconciles: reconcilers.<slot>.workers
max-doltdb-concurrent-reconciles: reconcilers.doltdb.workers
log-dev-mode: log.format
log-sql: log.level
requeue-sql: settings.resyncSeconds
watch-namespaces: watchNamespaces
kubeconfig: serviceAccount
zap-devel: log.format
zap-encoder: log.format
zap-log-level: log.level
zap-stacktrace-level: log.level
zap-time-encoding: log.format
{{- end }}

{{- /* The container's further arguments. */ -}}
{{- define "doltdb-operator.containerArgs" -}}
{{- $former := include "doltdb-operator.formerArguments" . | fromYaml }}
{{- range .Values.containerArgs }}
{{- $name := regexReplaceAll "^--?" . "" | splitList "=" | first }}
{{- if or (eq . "--leader-elect") (eq . "--leader-elect=true") }}
{{- else if eq $name "leader-elect" }}
{{- fail (printf "containerArgs: %q is leaderElection.enabled now" .) }}
{{- else if hasKey $former $name }}
{{- fail (printf "containerArgs: %q was an argument of the Go operator; its place now: %s" . (get $former $name)) }}
{{- else }}
- {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The image, unless it is that of the Go operator, which would not understand a word. */ -}}
{{- define "doltdb-operator.image" -}}
{{- if contains "electronicarts/doltdb-operator" .Values.image.repository }}
{{- fail (printf "image.repository: %q is the Go operator: remove image.repository and image.tag, or name an image of this operator" .Values.image.repository) }}
{{- end }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
