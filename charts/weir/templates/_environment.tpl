{{/* What `weir operator` is told; `weir operator --help` explains each. */}}
{{- define "weir.operatorEnvironment" -}}
- {name: RUST_LOG, value: {{ .Values.operator.log | quote }}}
- {name: WEIR_LOG_FORMAT, value: {{ .Values.operator.logFormat | quote }}}
- name: WEIR_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: WEIR_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- {name: WEIR_LEASE, value: {{ include "weir.name" . }}-operator}
- {name: WEIR_LEASE_SECONDS, value: {{ .Values.operator.leaseSeconds | int64 | toString | quote }}}
- {name: WEIR_SINGLE_REPLICA, value: {{ eq (int .Values.operator.replicas) 1 | toString | quote }}}
- {name: WEIR_AGENTS_LISTEN, value: {{ printf "%s:8443" .Values.network.listen | quote }}}
- {name: WEIR_AGENTS_URL, value: {{ printf "https://%s-agents.%s.svc:8443" (include "weir.name" .) .Release.Namespace | quote }}}
- {name: WEIR_HEALTH_LISTEN, value: {{ printf "%s:8080" .Values.network.listen | quote }}}
- {name: WEIR_FACADE_LISTEN, value: {{ printf "%s:8081" .Values.network.listen | quote }}}
{{- with .Values.facade.publicUrl }}
- {name: WEIR_PUBLIC_URL, value: {{ . | quote }}}
{{- end }}
{{- with .Values.facade.trustedProxies }}
- {name: WEIR_TRUSTED_PROXIES, value: {{ join "," . | quote }}}
{{- end }}
{{- with .Values.facade.corsOrigins }}
- {name: WEIR_CORS_ORIGINS, value: {{ join "," . | quote }}}
{{- end }}
{{- with .Values.facade.oidc }}
{{- if .issuer }}
- {name: WEIR_OIDC_ISSUER, value: {{ .issuer | quote }}}
- {name: WEIR_OIDC_AUDIENCE, value: {{ .audience | quote }}}
- {name: WEIR_OIDC_TENANTS_CLAIM, value: {{ .tenantsClaim | quote }}}
{{- with .jwksUrl }}
- {name: WEIR_OIDC_JWKS_URL, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- end }}
- {name: WEIR_TENANT_JOBS, value: {{ .Values.facade.tenantJobs | int64 | toString | quote }}}
{{- with .Values.facade.resultsEndpoint }}
- {name: WEIR_RESULTS_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with .Values.operator.watchNamespaces }}
- {name: WEIR_NAMESPACES, value: {{ join "," . | quote }}}
{{- end }}
- {name: WEIR_STORE_ENDPOINT, value: {{ include "weir.storeEndpoint" . | quote }}}
- {name: WEIR_STORE_REGION, value: {{ .Values.store.external.region | quote }}}
- {name: WEIR_STORE_BUCKET, value: {{ .Values.store.bucket | quote }}}
- {name: WEIR_RESULTS_BUCKET, value: {{ .Values.store.resultsBucket | quote }}}
- name: WEIR_STORE_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ include "weir.storeSecret" . }}, key: access-key}}
- name: WEIR_STORE_SECRET_KEY
  valueFrom: {secretKeyRef: {name: {{ include "weir.storeSecret" . }}, key: secret-key}}
{{- if .Values.store.external.ca }}
- {name: WEIR_STORE_CA_FILE, value: /etc/weir/store-ca/ca.pem}
{{- end }}
- {name: WEIR_AGENT_IMAGE, value: {{ include "weir.image" . | quote }}}
- {name: WEIR_EO_IMAGE, value: {{ printf "%s:%s" .Values.eoImage.repository .Values.eoImage.tag | quote }}}
- {name: WEIR_DEFAULT_IMAGE, value: {{ .Values.steps.defaultImage | quote }}}
- {name: WEIR_IMAGE_PULL_POLICY, value: {{ .Values.steps.imagePullPolicy | quote }}}
{{- with .Values.steps.allowedImages }}
- {name: WEIR_ALLOWED_IMAGES, value: {{ join "," . | quote }}}
{{- end }}
{{- with .Values.steps.imagePullSecrets }}
- {name: WEIR_IMAGE_PULL_SECRETS, value: {{ join "," . | quote }}}
{{- end }}
- {name: WEIR_STEP_SERVICE_ACCOUNT, value: {{ .Values.steps.serviceAccount | quote }}}
- {name: WEIR_RUN_AS_USER, value: {{ with .Values.steps.runAsUser }}{{ int64 . | toString | quote }}{{ else }}""{{ end }}}
- {name: WEIR_POD_START, value: {{ .Values.steps.start | quote }}}
- {name: WEIR_MEMORY_HEADROOM, value: {{ .Values.steps.memoryHeadroom | toString | quote }}}
- {name: WEIR_CORES_MAX, value: {{ .Values.steps.maxCores | toString | quote }}}
- {name: WEIR_RAM_MIB_MAX, value: {{ .Values.steps.maxMemoryMiB | int64 | toString | quote }}}
- {name: WEIR_UNSCHEDULABLE_SECONDS, value: {{ .Values.steps.unschedulableSeconds | int64 | toString | quote }}}
- {name: WEIR_IMAGE_SECONDS, value: {{ .Values.steps.imageSeconds | int64 | toString | quote }}}
- {name: WEIR_ENFORCE_NETWORK_ACCESS, value: {{ .Values.steps.enforceNetworkAccess | toString | quote }}}
{{- with .Values.steps.nodeSelectorKeys }}
- {name: WEIR_NODE_SELECTOR_KEYS, value: {{ join "," . | quote }}}
{{- end }}
- {name: WEIR_ALLOW_TOLERATIONS, value: {{ .Values.steps.allowTolerations | toString | quote }}}
- {name: WEIR_ALLOW_PRIORITY_CLASS, value: {{ .Values.steps.allowPriorityClass | toString | quote }}}
- {name: WEIR_PARALLELISM, value: {{ .Values.jobs.parallelism | int64 | toString | quote }}}
- {name: WEIR_TENANT_PARALLELISM, value: {{ .Values.jobs.tenantParallelism | int64 | toString | quote }}}
- {name: WEIR_LOOKAHEAD, value: {{ .Values.jobs.lookahead | toString | quote }}}
- {name: WEIR_HINTED_GPUS, value: {{ .Values.steps.hintedGpus | toString | quote }}}
- {name: WEIR_TTL_SECONDS, value: {{ .Values.jobs.ttlSecondsAfterFinished | int64 | toString | quote }}}
{{- with .Values.network.allowed }}
- {name: WEIR_FETCH_ALLOWED, value: {{ join "," . | quote }}}
{{- end }}
{{- end -}}
