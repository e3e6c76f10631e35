"""Reconciler of RenderedConfig: a ConfigMap whose text is a template with values filled in.

An example for docs/write-a-reconciler.md. `componentize-py` makes a component of it.
Every import stands at the top: what is imported later would be looked for in a file system, and there is none.
"""

import json
from datetime import datetime, timezone
from string import Template

import wit_world
from wit_world.imports import clock
from wit_world.imports.types import (
    Application,
    Description,
    Effect_Apply,
    Effect_Status,
    Kind,
    Next_Change,
    ObjectRef,
    Permission_Apply,
    Plan,
    Request,
)

API_VERSION = "example.com/v1"


class WitWorld(wit_world.WitWorld):
    def describe(self) -> Description:
        return Description(
            name="rendered",
            version="0.1.0",
            reconciles=Kind(API_VERSION, "RenderedConfig"),
            permissions=[Permission_Apply(Kind("v1", "ConfigMap"))],
            settings_schema='{"type": "object"}',
        )

    def reconcile(self, request: Request) -> Plan:
        header = request.object.header
        body = json.loads(request.object.body)
        effects = []
        if not header.deleting:
            ready, reason, message, text = render(body["spec"])
            if ready:
                effects.append(Effect_Apply(config_map(header, text)))
            condition = condition_of(body, header.generation, ready, reason, message)
            effects.append(Effect_Status(json.dumps({"conditions": [condition]})))
        return Plan(effects=effects, events=[], next=Next_Change())


def render(spec) -> tuple[bool, str, str, str]:
    template = Template(spec["template"])
    values = spec.get("values") or {}
    if not template.is_valid():
        return False, "InvalidTemplate", "spec.template has a $ that begins no name; write $$ for the character", ""
    missing = sorted(set(template.get_identifiers()) - values.keys())
    if missing:
        return False, "MissingValue", f"spec.values lacks {', '.join(missing)}", ""
    return True, "Rendered", "the ConfigMap is as the template says", template.substitute(values)


def config_map(header, text: str) -> Application:
    owner = {
        "apiVersion": API_VERSION,
        "kind": "RenderedConfig",
        "name": header.name,
        "uid": header.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": header.name, "namespace": header.namespace, "ownerReferences": [owner]},
        "data": {"text": text},
    }
    return Application(ObjectRef("v1", "ConfigMap", header.namespace, header.name), "", json.dumps(manifest))


def condition_of(body, generation: int, ready: bool, reason: str, message: str):
    status = "True" if ready else "False"
    old = next((c for c in body.get("status", {}).get("conditions", []) if c["type"] == "Ready"), None)
    # The clock is read only when the condition changes, so an object that needs nothing asks for nothing.
    since = old["lastTransitionTime"] if old and old["status"] == status else rfc3339(clock.now())
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }


def rfc3339(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
