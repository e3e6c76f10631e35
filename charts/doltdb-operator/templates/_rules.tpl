{{- /*
The operator's rules, made from the grants of its reconcilers: nothing is written here that no grant asks for, but events.

`doltdb-operator.grant` adds verbs for one resource to the dictionary `rules`; `doltdb-operator.rules` gives the rules of a scope
(`all`, `namespaced`, `cluster`) as YAML, one for each resource, in alphabetical order.
*/ -}}

{{- define "doltdb-operator.grant" -}}
{{- $group := "" }}
{{- if contains "/" .resource.apiVersion }}
{{- $group = splitList "/" .resource.apiVersion | first }}
{{- end }}
{{- $key := printf "%s/%s" $group .resource.resource }}
{{- $known := get .rules $key | default (dict "verbs" list) }}
{{- $scoped := ternary "cluster" "namespaced" (default false .resource.clusterScoped) }}
{{- $rule := dict "group" $group "resource" .resource.resource "scope" $scoped "verbs" (concat $known.verbs .verbs) }}
{{- $_ := set .rules $key $rule }}
{{- end }}

{{- define "doltdb-operator.rules" -}}
{{- $rules := dict }}
{{- $cached := list "get" "list" "watch" }}
{{- range $slot, $reconciler := .Values.reconcilers }}
{{- if $reconciler }}
{{- $own := $reconciler.reconciles }}
{{- /* Finalizers are patches of the object's metadata. */}}
{{- include "doltdb-operator.grant" (dict "rules" $rules "resource" $own "verbs" (concat $cached (list "patch"))) }}
{{- $status := merge (dict "resource" (printf "%s/status" $own.resource)) $own }}
{{- include "doltdb-operator.grant" (dict "rules" $rules "resource" $status "verbs" (list "patch")) }}
{{- $grant := default dict $reconciler.grant }}
{{- if $grant.apply }}
{{- /* Where OwnerReferencesPermissionEnforcement is on, owning an object takes this; there is no such subresource to be written. */}}
{{- $finalizers := merge (dict "resource" (printf "%s/finalizers" $own.resource)) $own }}
{{- include "doltdb-operator.grant" (dict "rules" $rules "resource" $finalizers "verbs" (list "update")) }}
{{- end }}
{{- /* What is written is watched too: that is how the host sees that there is nothing to write. */}}
{{- $effects := dict "read" list "apply" (list "create" "patch") "delete" (list "delete") "label" (list "patch") }}
{{- range $effect, $verbs := $effects }}
{{- range default list (get $grant $effect) }}
{{- include "doltdb-operator.grant" (dict "rules" $rules "resource" . "verbs" (concat $cached $verbs)) }}
{{- end }}
{{- end }}
{{- $secret := dict "apiVersion" "v1" "resource" "secrets" }}
{{- if or $grant.secrets $grant.authorities }}
{{- include "doltdb-operator.grant" (dict "rules" $rules "resource" $secret "verbs" $cached) }}
{{- end }}
{{- if $grant.generateSecrets }}
{{- include "doltdb-operator.grant" (dict "rules" $rules "resource" $secret "verbs" (list "create")) }}
{{- end }}
{{- end }}
{{- end }}
{{- $event := dict "apiVersion" "events.k8s.io/v1" "resource" "events" }}
{{- include "doltdb-operator.grant" (dict "rules" $rules "resource" $event "verbs" (list "create")) }}
{{- $lines := list }}
{{- range $key := keys $rules | sortAlpha }}
{{- $rule := get $rules $key }}
{{- if or (eq $.scope "all") (eq $.scope $rule.scope) }}
{{- $verbs := list }}
{{- range list "get" "list" "watch" "create" "update" "patch" "delete" }}
{{- if has . $rule.verbs }}
{{- $verbs = append $verbs . }}
{{- end }}
{{- end }}
{{- $lines = append $lines (printf "- apiGroups: [%q]" $rule.group) }}
{{- $lines = append $lines (printf "  resources: [%s]" $rule.resource) }}
{{- $lines = append $lines (printf "  verbs: [%s]" (join ", " $verbs)) }}
{{- end }}
{{- end }}
{{- join "\n" $lines }}
{{- end }}
