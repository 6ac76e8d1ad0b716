"""Writes what Kubernetes runs for a run: a Job of one coordinator, and an Indexed Job of workers.

Nothing here asks a cluster.  What a worker's exit means to the Job:

- 0: the run is finished, and so is this index;
- 75, or a pod that was preempted, evicted or drained: not counted, another pod takes the index;
- 1 and 2: every worker would end like that, so the whole Job fails;
- anything else (69: this machine is unfit; 70; a kill): counted, and tried again on another pod.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import yaml

from pbtnas.errors import ExitCode
from pbtnas.launch.k8s import Plan
from pbtnas.store.bucket.address import AZURE, CACHE, is_url, parse

CONFIG = "/etc/pbtnas/config.yaml"
SCRATCH = "/scratch"
LONGER_S = 30  # than the grace that a job has, before Kubernetes kills
FAILURES = 6  # of an index that count, before Kubernetes gives it up
USER = 1000  # of the image

_SPOT = {  # label of such nodes by provider, and whether they are tainted with it
    ("cloud.google.com/gke-spot", "true"): True,
    ("kubernetes.azure.com/scalesetpriority", "spot"): True,
    ("karpenter.sh/capacity-type", "spot"): False,
    ("eks.amazonaws.com/capacityType", "SPOT"): False,
}

Object = dict[str, Any]


def manifest(plan: Plan) -> str:
    """The YAML for `kubectl apply`: the configuration, the coordinator and the workers."""
    documents = [_config_map(plan), _coordinator(plan), _workers(plan)]
    head = (
        f"# The run {plan.run}: a coordinator and {plan.workers} workers.\n"
        "# Written by `pbtnas launch k8s`, for `kubectl apply --filename`.\n"
    )
    return head + "---\n".join(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96)
        for document in documents
    )


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else "")


_Dumper.add_representer(str, _text)


def _labels(plan: Plan, component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "pbtnas",
        "app.kubernetes.io/instance": plan.name,
        "app.kubernetes.io/component": component,
    }


def _config_map(plan: Plan) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{plan.name}-config", "labels": _labels(plan, "config")},
        "data": {"config.yaml": plan.config},
    }


def _coordinator(plan: Plan) -> Object:
    config = {"name": "config", "configMap": {"name": f"{plan.name}-config"}}
    container = {
        "args": ["coordinator", CONFIG, plan.run, *plan.common],
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/pbtnas", "readOnly": True}],
    }
    # Another one may hold the run still: that passes with its lease.
    final = [ExitCode.FAILED, ExitCode.USAGE]
    counts = {"completions": 1, "parallelism": 1, "backoffLimit": FAILURES}
    return _job(plan, "coordinator", counts, final, container, [config], {})


def _workers(plan: Plan) -> Object:
    limits = {"nvidia.com/gpu": str(plan.gpus)} if plan.gpus else {}
    memory = {} if plan.mem is None else {"memory": plan.mem}
    requests = {"cpu": str(plan.cpus), **memory}
    device = "auto" if plan.gpus else "cpu"
    container = {
        "args": ["worker", plan.run, "--device", device, "--patience", "forever", *plan.common],
        "resources": {
            "requests": requests,
            **({"limits": {**memory, **limits}} if memory or limits else {}),
        },
        # It answers with the next heartbeat, or after the lease without one.
        "livenessProbe": {
            "exec": {"command": ["pbtnas", "worker-alive", plan.run]},
            "initialDelaySeconds": 120,
            "periodSeconds": 60,
            "timeoutSeconds": math.ceil(plan.lease_s) + LONGER_S,
            "failureThreshold": 3,
        },
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    }
    shm = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": plan.shm}}
    counts = {
        "completions": plan.workers,
        "parallelism": plan.workers,
        "completionMode": "Indexed",
        "backoffLimitPerIndex": FAILURES,
    }
    final = [ExitCode.FAILED, ExitCode.USAGE]
    return _job(plan, "worker", counts, final, container, [shm], _nodes(plan))


def _job(
    plan: Plan,
    component: str,
    counts: Object,
    final: Sequence[ExitCode],
    container: Object,
    volumes: list[Object],
    nodes: Object,
) -> Object:
    """A Job whose pods run one process of pbtnas."""
    labels = _labels(plan, component)
    queued = {} if plan.queue is None else {"kueue.x-k8s.io/queue-name": plan.queue}
    shared: list[Object] = []
    if plan.claim is not None:
        shared.append({"name": "shared", "persistentVolumeClaim": {"claimName": plan.claim}})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{plan.name}-{component}", "labels": {**labels, **queued}},
        "spec": {
            # Kueue lets it begin.
            **({} if plan.queue is None else {"suspend": True}),
            **counts,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    _on_exit("Ignore", component, [ExitCode.STOPPED]),
                    _on_exit("FailJob", component, final),
                ]
            },
            "template": {
                "metadata": {"labels": {**labels, **_identified(plan)}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": math.ceil(plan.grace_s) + LONGER_S,
                    **({} if plan.account is None else {"serviceAccountName": plan.account}),
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": {"fsGroup": USER, "fsGroupChangePolicy": "OnRootMismatch"},
                    **nodes,
                    "containers": [_container(plan, component, container)],
                    "volumes": [*shared, {"name": "scratch", "emptyDir": {}}, *volumes],
                },
            },
        },
    }


def _identified(plan: Plan) -> dict[str, str]:
    """What a pod needs besides its service account so that Azure knows it."""
    azure = plan.account is not None and is_url(plan.run) and parse(plan.run)[0] in AZURE
    return {"azure.workload.identity/use": "true"} if azure else {}


def _on_exit(action: str, component: str, codes: Sequence[ExitCode]) -> Object:
    values = [int(code) for code in codes]
    return {
        "action": action,
        "onExitCodes": {"containerName": component, "operator": "In", "values": values},
    }


def _container(plan: Plan, component: str, more: Object) -> Object:
    node = {"fieldRef": {"fieldPath": "spec.nodeName"}}
    copies = {CACHE: f"{SCRATCH}/buckets"} if is_url(plan.run) else {}
    set_here = {"HOME": SCRATCH, "TMPDIR": SCRATCH, **copies, **plan.environment}
    secret = [] if plan.secret is None else [{"secretRef": {"name": plan.secret}}]
    mounts = [] if plan.claim is None else [{"name": "shared", "mountPath": plan.mount}]
    mounts += [{"name": "scratch", "mountPath": SCRATCH}, *more["volumeMounts"]]
    return {
        "name": component,
        "image": plan.image,
        "command": ["pbtnas"],
        # Kubernetes puts the name of the node in the place of $(NODE).
        "args": [*more["args"], "--scratch", f"{SCRATCH}/pbtnas", "--machine", "$(NODE)"],
        "env": [
            {"name": "NODE", "valueFrom": node},
            *({"name": key, "value": value} for key, value in set_here.items()),
        ],
        **({"envFrom": secret} if secret else {}),
        **{key: value for key, value in more.items() if key not in ("args", "volumeMounts")},
        "volumeMounts": mounts,
    }


def _nodes(plan: Plan) -> Object:
    """Which nodes workers may use."""
    tolerated: list[Object] = []
    if plan.gpus:
        tolerated.append({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"})
    if not plan.spot:
        return {"tolerations": tolerated} if tolerated else {}
    for (key, value), tainted in _SPOT.items():
        if tainted:
            equal = {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
            tolerated.append(equal)
    # One of the terms has to fit: that of the provider whose nodes these are.
    terms = [
        {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}
        for key, value in _SPOT
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"tolerations": tolerated, "affinity": {"nodeAffinity": required}}
