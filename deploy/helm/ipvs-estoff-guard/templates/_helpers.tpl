{{- define "guard.labels" -}}
app.kubernetes.io/name: ipvs-estoff-guard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "guard.image" -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}
{{- else }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* guard.conf: [guard] mode and [metrics] textfile have values of their own. */}}
{{- define "guard.configuration" -}}
[guard]
mode = {{ .Values.mode }}
{{- range $key, $value := .Values.configuration.guard }}
{{ $key }} = {{ $value }}
{{- end }}
{{- range $section, $keys := omit .Values.configuration "guard" }}

[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ $value }}
{{- end }}
{{- end }}
{{- if .Values.metrics.textfileFolder }}

[metrics]
textfile = {{ .Values.metrics.textfileFolder }}/ipvs-estoff-guard.prom
{{- end }}
{{- end }}
