{{/* Names of everything begin with the release's name. */}}
{{- define "weir.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What is not namespaced carries the namespace too: two releases of one name are possible. */}}
{{- define "weir.clusterName" -}}
{{- printf "%s-%s" (include "weir.name" .) .Release.Namespace | trunc 60 | trimSuffix "-" -}}
{{- end -}}

{{- define "weir.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/name: weir
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Call: include "weir.selector" (list . "operator") */}}
{{- define "weir.selector" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "weir.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}

{{/* Whether the bundled store is used: "true" or nothing. */}}
{{- define "weir.bundledStore" -}}
{{- if not .Values.store.external.endpoint }}true{{ end -}}
{{- end -}}

{{/* Tenants that get a key pair to read their results, as a JSON list. */}}
{{- define "weir.resultsKeys" -}}
{{- $tenants := list -}}
{{- range .Values.tenants -}}
{{- if .resultsKey -}}
{{- if not (include "weir.bundledStore" $) -}}
{{- fail "tenants[].resultsKey: keys of an external store are made there; leave it out" -}}
{{- end -}}
{{- $tenants = append $tenants . -}}
{{- end -}}
{{- end -}}
{{- if $tenants }}{{ toJson $tenants }}{{ end -}}
{{- end -}}

{{- define "weir.storeSecret" -}}
{{- .Values.store.existingSecret | default (printf "%s-store" (include "weir.name" .)) -}}
{{- end -}}

{{- define "weir.storeEndpoint" -}}
{{- .Values.store.external.endpoint | default (printf "http://%s-store.%s.svc:9000" (include "weir.name" .) .Release.Namespace) -}}
{{- end -}}
