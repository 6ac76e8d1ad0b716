"""What is written for Kubernetes is what was asked for, and what its own schema accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pbtnas.cli.app import cli
from pbtnas.config import load
from pbtnas.errors import ExitCode
from tests.docs.test_docs import ROOT, parse

CONFIG = str(ROOT / "configs" / "digits.yaml")
GOLDEN = Path(__file__).parent / "golden" / "run.yaml"
IMAGE = ("--image", "registry.example/pbtnas:1", "--workers", "16")
CLAIM = ("--claim", "runs")
ALL = (
    *("--queue", "team", "--spot", "--mem", "16Gi", "--env", "PBTNAS_DATA=/shared/data"),
    *("--secret", "keys", "--task", "/shared/my_task.py:MyTask"),
    *("--set", "task.name=MyTask", "--set", "engine.grace_s=25.5"),
)


def written(*words: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(cli, ["launch", "k8s", CONFIG, "/shared/runs/c10", *IMAGE, *words])
    assert done.exit_code == ExitCode.OK, done.output
    return done.output


def objects(*words: str) -> list[Any]:
    """The objects that it prints: configuration, coordinator, workers."""
    return list(yaml.safe_load_all(written(*words)))


def pod(job: Any) -> Any:
    return job["spec"]["template"]["spec"]


def test_it_is_what_it_was() -> None:
    """Whoever reads the difference decides whether clusters will like it; to accept one, write the
    file again: `pbtnas launch k8s configs/digits.yaml ... > tests/launch/golden/run.yaml`."""
    assert written(*CLAIM, *ALL[:7]) == GOLDEN.read_text()


@pytest.mark.parametrize(
    "words",
    [
        CLAIM,
        (*CLAIM, *ALL),
        ("--bucket", "az://b/x", "--service-account", "search"),
        (*CLAIM, "--gpus", "0", "--spot"),
    ],
    ids=["claim", "all", "bucket", "cpu"],
)
def test_kubernetes_accepts_it(words: tuple[str, ...]) -> None:
    """Every field is one of its schema, and of the right type."""
    validate = pytest.importorskip("kubernetes_validate")

    for found in objects(*words):
        validate.validate(found, "1.31", strict=True)
        validate.validate(found, "1.37", strict=True)


@pytest.mark.parametrize("words", [CLAIM, (*CLAIM, *ALL), ("--bucket", "s3://b/x", "--gpus", "0")])
def test_the_containers_run_commands_of_pbtnas(words: tuple[str, ...]) -> None:
    """Every word of the arguments and of the probe is one that the command line takes."""
    for job in objects(*words)[1:]:
        (container,) = pod(job)["containers"]
        assert container["command"] == ["pbtnas"]
        parse(cli, container["args"])
        if "livenessProbe" in container:
            probe = container["livenessProbe"]["exec"]["command"]
            assert probe[0] == "pbtnas"
            parse(cli, probe[1:])


def test_the_configuration_is_the_one_that_was_given(tmp_path: Path) -> None:
    """With its overrides, read again from the ConfigMap."""
    config, coordinator, _ = objects(*CLAIM, "--set", "run.seed=3")
    file = tmp_path / "config.yaml"
    file.write_text(config["data"]["config.yaml"])

    assert load(file) == load(Path(CONFIG), ["run.seed=3"])
    mounted = [volume for volume in pod(coordinator)["volumes"] if "configMap" in volume]
    assert mounted[0]["configMap"]["name"] == config["metadata"]["name"]


def test_exit_codes_decide_what_a_job_does() -> None:
    """Stopped and disrupted pods are replaced and do not count; what would end like that again
    ends the Job."""
    for job in objects(*CLAIM)[1:]:
        disrupted, stopped, final = job["spec"]["podFailurePolicy"]["rules"]

        assert disrupted["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
        assert stopped["onExitCodes"]["values"] == [ExitCode.STOPPED]
        assert final["onExitCodes"]["values"] == [ExitCode.FAILED, ExitCode.USAGE]
        assert [rule["action"] for rule in (disrupted, stopped, final)] == [
            *("Ignore", "Ignore", "FailJob")
        ]
        assert pod(job)["restartPolicy"] == "Never"


def test_kubernetes_waits_for_the_snapshot() -> None:
    """Longer than the grace of the engine; and a probe longer than the lease."""
    _, _, workers = objects(*CLAIM, "--set", "engine.grace_s=25.5", "--set", "engine.lease_s=90")

    assert pod(workers)["terminationGracePeriodSeconds"] == 26 + 30
    assert pod(workers)["containers"][0]["livenessProbe"]["timeoutSeconds"] == 120


def test_without_gpus_none_is_asked_for() -> None:
    """And the worker computes on the processor."""
    _, _, workers = objects(*CLAIM, "--gpus", "0")
    (container,) = pod(workers)["containers"]

    assert "limits" not in container["resources"] and "tolerations" not in pod(workers)
    assert container["args"][container["args"].index("--device") + 1] == "cpu"


def test_a_bucket_is_part_of_the_name_of_the_run() -> None:
    """And nothing is mounted for it; copies lie on the node, for the probe as for the worker."""
    _, coordinator, workers = objects("--bucket", "s3://bucket/x/", "--secret", "keys")

    for job in (coordinator, workers):
        (container,) = pod(job)["containers"]
        assert "s3://bucket/x/shared/runs/c10" in container["args"]
        assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
        assert {"name": "PBTNAS_CACHE", "value": "/scratch/buckets"} in container["env"]
        assert not any("persistentVolumeClaim" in volume for volume in pod(job)["volumes"])


@pytest.mark.parametrize(("bucket", "labelled"), [("s3://b/x", False), ("az://b/x", True)])
def test_clouds_know_pods_by_their_service_account(bucket: str, labelled: bool) -> None:
    """Azure by a label besides."""
    for job in objects("--bucket", bucket, "--service-account", "search")[1:]:
        assert pod(job)["serviceAccountName"] == "search"
        labels = job["spec"]["template"]["metadata"]["labels"]
        assert ("azure.workload.identity/use" in labels) == labelled


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "expected either --claim PVC"),
        ((*CLAIM, "--bucket", "s3://b"), "expected either --claim PVC"),
        (("--bucket", "b"), "--bucket b: expected a URL, such as s3://bucket/runs"),
        (("--bucket", "file:///b"), "--bucket file:///b: expected a URL, such as s3://"),
        (("--bucket", "s3://"), "s3://: expected s3://BUCKET/PATH"),
        (("--bucket", "ftp://b"), "ftp://b: expected a directory, or a URL that begins with s3://"),
        (
            (*CLAIM, "--env", "AWS_SECRET_ACCESS_KEY=x"),
            "--env AWS_SECRET_ACCESS_KEY: would stand readable in what is applied",
        ),
        ((*CLAIM, "--mount", "/data"), "/shared/runs/c10: expected a path below /data"),
        ((*CLAIM, "--name", "My_run"), "--name My_run: expected up to 40 lower-case letters"),
        ((*CLAIM, "--env", "HOME"), "--env HOME: expected KEY=VALUE"),
        ((*CLAIM, "--task", "own.py:Own"), "--task own.py:Own: expected the whole path"),
        ((*CLAIM, "--set", "engine.grace=1"), "grace_s"),
        ((*CLAIM, "--mem", "lots"), "--mem lots: expected bytes as Kubernetes writes them, such"),
        ((*CLAIM, "--mem", "16GB"), "--mem 16GB: expected bytes"),
        ((*CLAIM, "--mem", "16m"), "--mem 16m: expected bytes"),
        ((*CLAIM, "--mem", ""), "--mem : expected bytes"),
        ((*CLAIM, "--shm", "0Gi"), "--shm 0Gi: expected bytes"),
        (("--claim", "A_B"), "--claim A_B: expected the name of an object of Kubernetes"),
        ((*CLAIM, "--queue", 64 * "q"), "expected the name of an object of Kubernetes: up to 63"),
        ((*CLAIM, "--secret", "my keys"), "--secret my keys: expected the name of an object"),
        ((*CLAIM, "--service-account", ".a"), "--service-account .a: expected the name of an"),
        ((*CLAIM, "--image", "bad image"), "--image bad image: expected a name without blanks"),
    ],
)
def test_what_contradicts_itself_is_told(words: tuple[str, ...], sentence: str) -> None:
    """In one sentence, and nothing is printed that could be applied."""
    done = CliRunner().invoke(cli, ["launch", "k8s", CONFIG, "/shared/runs/c10", *IMAGE, *words])

    assert done.exit_code == ExitCode.USAGE
    assert sentence in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("size", ["1.5Gi", "16G", "512Mi", "1000000000"])
def test_sizes_of_kubernetes_are_written_as_given(size: str) -> None:
    """Both kinds of units, and bytes without one."""
    (container,) = pod(objects(*CLAIM, "--mem", size)[2])["containers"]

    assert container["resources"]["requests"]["memory"] == size


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("/shared/runs/C10 best!", "pbtnas-c10-best"),
        ("s3://b/" + 60 * "x", "pbtnas-" + 33 * "x"),
        ("/shared/ü", "pbtnas"),
    ],
)
def test_names_are_such_as_kubernetes_takes(run: str, name: str) -> None:
    """Made of the last part of the run's path."""
    from pbtnas.launch.k8s import checked_name, name_of

    assert checked_name(name_of(run), "--name") == name
