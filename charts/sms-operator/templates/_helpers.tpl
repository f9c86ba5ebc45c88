{{/* Name of every object of the release. */}}
{{- define "sms-operator.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}
{{- $name = printf "%s-%s" $name .Chart.Name -}}
{{- end -}}
{{- $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels that select the operator's pod. They can never change: a Deployment's selector is immutable. */}}
{{- define "sms-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "sms-operator.labels" -}}
{{ include "sms-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Reference of one image; takes a list of the root and one of image.operator, image.api, image.processor. */}}
{{- define "sms-operator.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- with $root.Values.image.registry }}{{ . }}/{{ end -}}
{{- $image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- /* The namespaces whose Secrets may be read, as a YAML list: those that are named, or the only one that is looked after, or that
     of the release. */ -}}
{{- define "sms-operator.secretsNamespaces" -}}
{{- $only := dict "namespace" (.Values.watchNamespace | default .Release.Namespace) -}}
{{- if not .Values.secrets.allNamespaces -}}
{{- .Values.secrets.namespaces | default (list $only) | toYaml -}}
{{- else if .Values.secrets.namespaces -}}
{{- fail "secrets.allNamespaces and secrets.namespaces: either all namespaces or those that are named" -}}
{{- else if .Values.watchNamespace -}}
{{- fail (printf "secrets.allNamespaces, but watchNamespace is %s: no other namespace is looked after" .Values.watchNamespace) -}}
{{- else -}}
[]
{{- end -}}
{{- end }}

{{- /* Rights on the Lease by which one of several operators leads. A name cannot be demanded of what is created. */ -}}
{{- define "sms-operator.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [sms-operator]
  verbs: [get, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- end }}
