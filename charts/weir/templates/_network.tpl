{{/*
Of the steps' pods in one namespace. Call: include "weir.stepPolicy" (list . "namespace")
Public addresses are all but those that IANA's registries of special-purpose addresses name.
*/}}
{{- define "weir.stepPolicy" -}}
{{- $root := index . 0 -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: weir-steps
  namespace: {{ index . 1 }}
  labels:
    {{- include "weir.labels" $root | nindent 4 }}
spec:
  podSelector: {matchExpressions: [{key: weir.dev/run, operator: Exists}]}
  # Nobody calls a step.
  policyTypes: [Ingress, Egress]
  egress:
    - ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
      to:
        - {{ toYaml $root.Values.network.dns | nindent 10 | trim }}
    - ports: [{port: 8443}]
      to:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ $root.Release.Namespace }}}}
          podSelector:
            matchLabels:
              {{- include "weir.selector" (list $root "operator") | nindent 14 }}
    {{- if include "weir.bundledStore" $root }}
    - ports: [{port: 9000}]
      to:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ $root.Release.Namespace }}}}
          podSelector:
            matchLabels:
              {{- include "weir.selector" (list $root "store") | nindent 14 }}
    {{- end }}
    - to:
        - ipBlock:
            cidr: 0.0.0.0/0
            except:
              - 0.0.0.0/8
              - 10.0.0.0/8
              - 100.64.0.0/10
              - 127.0.0.0/8
              - 169.254.0.0/16
              - 172.16.0.0/12
              - 192.0.0.0/24
              - 192.168.0.0/16
              - 198.18.0.0/15
              - 224.0.0.0/4
              - 240.0.0.0/4
              {{- range $root.Values.network.apiServer }}
              {{- if not (contains ":" .) }}
              - {{ . }}
              {{- end }}
              {{- end }}
        - ipBlock:
            cidr: 2000::/3
            {{- $six := list }}
            {{- range $root.Values.network.apiServer }}
            {{- if contains ":" . }}
            {{- $six = append $six . }}
            {{- end }}
            {{- end }}
            {{- with $six }}
            except: {{- toYaml . | nindent 14 }}
            {{- end }}
        {{- range $root.Values.network.allowed }}
        - ipBlock: {cidr: {{ . | quote }}}
        {{- end }}
{{- end -}}
