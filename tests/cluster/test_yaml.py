"""The cluster files: Ray's own schema takes them, and their commands do what the comments say, with
stand-ins for `ray` and `aws`.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]
from moto import mock_aws
from moto.core.authorization import enable_iam_authentication
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import TAG_RAY_CLUSTER_NAME

from tests.cluster.hosts import ROOT, VENV, wait_until

CLOUD = ("cluster.yaml", "clusters/gcp.yaml")
FILES = (*CLOUD, "clusters/onprem.yaml")
SHIPPED = (*FILES, "clusters/node.sh", "clusters/aws_role.sh", "clusters/notice.py")
WORKER_PORTS = range(10_002, 20_000)
TELLS = """#!/bin/sh
echo Ray runtime started
[ "$1" = start ] && { env; echo "ARGUMENTS=$*"; } > $HOME/seen.part && mv $HOME/seen.part $HOME/seen || true
"""
WATCHES = """#!/bin/sh
{ env; echo "ARGUMENTS=$*"; trap; echo "FOLDER=$PWD"; } > $HOME/watches.part && mv $HOME/watches.part $HOME/watches
"""
Config = dict[str, Any]


def load(file: str) -> Config:
    found: Config = yaml.safe_load((ROOT / file).read_text())
    return found


def check(config: Config) -> None:
    validate_config(prepare_config(copy.deepcopy(config)))


def stand_in(program: Path, text: str) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(text)
    program.chmod(0o755)


def bash(command: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"HOME": str(home), "PATH": os.environ["PATH"], **environment}
    return subprocess.run(
        ["bash", "-c", command], env=variables, check=True, capture_output=True, text=True, timeout=60
    )


def started(file: str, kind: str, home: Path) -> dict[str, str]:
    """Environment and arguments with which the file's commands start Ray on a node of that kind."""
    stand_in(home / "leadline" / ".venv" / "bin" / "ray", TELLS)
    stand_in(home / "leadline" / ".venv" / "bin" / "python", WATCHES)
    shutil.copytree(ROOT / "clusters", home / "leadline" / "clusters")
    first, *others = load(file)[f"{kind}_start_ray_commands"]
    assert re.fullmatch(r"(pkill -f '\[r\]ay start .\*--block'; )?ray stop", first)
    for command in others:
        bash(command, home, RAY_HEAD_IP="10.0.0.1")
    return told(home / "seen")


def told(file: Path) -> dict[str, str]:
    """What a stand-in has written there."""
    wait_until(file.exists, 20, f"nothing was started that writes {file.name}")
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)


@pytest.mark.parametrize("file", FILES)
def test_ray_takes_it(file: str) -> None:
    check(load(file))


def mutated(config: Config, place: str, value: object) -> Config:
    *above, last = place.split("/")
    at = config
    for key in above:
        at = at[key]
    at[last] = value
    return config


MISTAKES = [
    ("spot", True),
    ("upscaling_speed", "fast"),
    ("provider/region", 1),
    ("auth/ssh_user", 1),
    ("cluster_synced_files", "x"),
]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("place", "value"), MISTAKES)
def test_ray_refuses_it_with_a_mistake(file: str, place: str, value: object) -> None:
    with pytest.raises(ValidationError):
        check(mutated(load(file), place, value))


@pytest.mark.parametrize("file", CLOUD)
@pytest.mark.parametrize(
    ("place", "value"),
    [("market", "spot"), ("labels", {"gpu": 4}), ("idle_timeout_s", "5"), ("resources", {"GPU": -1})],
)
def test_ray_refuses_a_node_type_with_a_mistake(file: str, place: str, value: object) -> None:
    with pytest.raises(ValidationError):
        check(mutated(load(file), f"available_node_types/l4/{place}", value))


@pytest.mark.parametrize("kind", ["head", "worker"])
@pytest.mark.parametrize("file", FILES)
def test_every_node_starts_with_the_token_and_quick_health_checks(file: str, kind: str, tmp_path: Path) -> None:
    seen = started(file, kind, tmp_path)
    assert seen["RAY_AUTH_MODE"] == "token"
    assert seen["RAY_USAGE_STATS_ENABLED"] == "0"
    assert seen["AWS_REQUEST_CHECKSUM_CALCULATION"] == "when_required"
    period, limit, failures = (
        int(seen[f"RAY_health_check_{name}"]) for name in ("period_ms", "timeout_ms", "failure_threshold")
    )
    assert int(seen["RAY_health_check_initial_delay_ms"]) + failures * (period + limit) <= 10_000
    assert int(seen["RAY_gcs_rpc_server_reconnect_timeout_s"]) <= 10
    assert not {"RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY"} & set(seen)
    assert ("--head" in seen["ARGUMENTS"]) == (kind == "head")
    assert ("--address=10.0.0.1:6379" in seen["ARGUMENTS"]) == (kind == "worker")


@pytest.mark.parametrize("file", FILES)
def test_the_head_takes_no_trials_and_shows_its_dashboard_to_itself_alone(file: str, tmp_path: Path) -> None:
    seen = started(file, "head", tmp_path)
    options = dict(word.removeprefix("--").split("=", 1) for word in seen["ARGUMENTS"].split() if "=" in word)
    assert options["num-cpus"] == options["num-gpus"] == "0"
    assert options["dashboard-host"] == "127.0.0.1"
    assert int(options["dashboard-port"]) not in WORKER_PORTS
    assert int(options["port"]) not in WORKER_PORTS
    assert options["autoscaling-config"].endswith("/ray_bootstrap_config.yaml")


@pytest.mark.parametrize(("file", "cloud"), list(zip(CLOUD, ("aws", "gcp"), strict=True)))
def test_workers_in_the_cloud_watch_for_notices(file: str, cloud: str, tmp_path: Path) -> None:
    started(file, "worker", tmp_path)
    seen = told(tmp_path / "watches")
    assert seen["ARGUMENTS"] == f"clusters/notice.py {cloud}"
    assert seen["RAY_AUTH_MODE"] == "token"
    assert Path(seen["FOLDER"]) == tmp_path / "leadline"
    assert (tmp_path / "leadline" / "notice.log").exists()
    assert all("notice.py" not in command for command in load(file)["head_start_ray_commands"])


def test_on_premise_the_first_version_of_the_autoscaler_runs(tmp_path: Path) -> None:
    prefixed = "export RAY_enable_autoscaler_v2=1; "  # what `ray up` puts before each start command
    config = load("clusters/onprem.yaml")
    assert "RAY_enable_autoscaler_v2=0" in config["head_start_ray_commands"][1]
    stand_in(tmp_path / "leadline" / ".venv" / "bin" / "ray", TELLS)
    shutil.copytree(ROOT / "clusters", tmp_path / "leadline" / "clusters")
    bash(prefixed + config["head_start_ray_commands"][1], tmp_path)
    assert "RAY_enable_autoscaler_v2=0" in (tmp_path / "seen").read_text().splitlines()


def test_workers_in_the_cloud_are_spot_machines_with_labels_and_a_role() -> None:
    aws, gcp = (load(file)["available_node_types"] for file in CLOUD)
    for types in (aws, gcp):
        head = types.pop("head")
        assert head["resources"]["CPU"] == 0
        assert all(worker["labels"]["gpu"] == name and worker["min_workers"] == 0 for name, worker in types.items())
        assert "MarketType" not in json.dumps(head)
    assert all(worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"} for worker in aws.values())
    assert all(worker["node_config"]["scheduling"]["provisioningModel"] == "SPOT" for worker in gcp.values())
    assert {
        node["node_config"]["IamInstanceProfile"]["Name"]
        for node in load("cluster.yaml")["available_node_types"].values()
    } == {"leadline"}
    assert all(worker["node_config"]["serviceAccounts"] for worker in gcp.values())
    assert all(load(file)["idle_timeout_minutes"] <= 10 for file in CLOUD)


@pytest.mark.parametrize("file", SHIPPED)
def test_it_holds_no_secret(file: str) -> None:
    text = (ROOT / file).read_text()
    assert not re.search(r"AKIA[0-9A-Z]{16}|PRIVATE KEY|password=|[0-9a-fA-F]{32}|RAY_AUTH_TOKEN=", text)


@pytest.mark.parametrize("file", FILES)
def test_nodes_get_the_whole_project_and_no_more(file: str) -> None:
    mounts = load(file)["file_mounts"]
    packages = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"])
    assert {f"~/leadline/{local}" for local in mounts.values()} == set(mounts)
    assert set(mounts.values()) == packages | {"clusters", "constraints.txt", "pyproject.toml", "README.md", "LICENSE"}
    assert all((ROOT / local).exists() for local in mounts.values())


@pytest.mark.parametrize("file", FILES)
def test_setup_installs_once_and_again_when_the_packages_change(file: str, tmp_path: Path) -> None:
    project = tmp_path / "leadline"
    tell = '#!/bin/sh\necho "$@" >> $HOME/installed\n'
    stand_in(project / ".venv" / "bin" / "python", tell)
    stand_in(tmp_path / ".local" / "bin" / "uv", tell)
    for name in ("constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, project)

    def installs() -> int:
        for command in load(file)["setup_commands"]:
            bash(command, tmp_path)
        return (tmp_path / "installed").read_text().count("--constraint constraints.txt --editable .[s3]")

    assert [installs(), installs()] == [1, 1]
    (project / "constraints.txt").write_text("ray==2.61.0\n")
    assert [installs(), installs()] == [2, 2]
    assert (tmp_path / ".bashrc").read_text() == ". ~/leadline/clusters/node.sh\n"


@pytest.mark.parametrize("file", FILES)
def test_the_head_makes_one_token_in_silence(file: str, tmp_path: Path) -> None:
    (tmp_path / "leadline").mkdir()
    (tmp_path / "leadline" / ".venv").symlink_to(VENV)
    config = load(file)
    token = tmp_path / ".ray" / "auth_token"
    found = []
    for _ in range(2):
        done = bash(config["head_setup_commands"][-1], tmp_path)
        found.append(token.read_text())
        assert found[0] not in done.stdout + done.stderr
    assert found[0] == found[1]
    assert len(found[0]) >= 32
    assert token.stat().st_mode & 0o777 == 0o600
    assert config["cluster_synced_files"] == ["~/.ray/auth_token"]


def documents(bucket: str, home: Path) -> tuple[Config, Config]:
    """What clusters/aws_role.sh gives to AWS: who may take the role, and what it may."""
    stand_in(
        home / "bin" / "aws",
        '#!/bin/sh\ncase "$*" in sts*) echo 123456789012;; *get-role*) exit 1;; *) printf "%s\\n" "$@" >> $HOME/asked;; esac\n',  # noqa: E501
    )
    bash(f"sh {ROOT}/clusters/aws_role.sh {bucket}", home, PATH=f"{home}/bin:/usr/bin:/bin")
    trust, may = re.findall(r"^\{.*?\}\]\}$", (home / "asked").read_text(), re.DOTALL | re.MULTILINE)
    return json.loads(trust), json.loads(may)


def allowed(may: Config, action: str) -> list[Config]:
    """The statements that name an action."""
    found: list[Config] = [
        one
        for one in may["Statement"]
        if action in (one["Action"] if isinstance(one["Action"], list) else [one["Action"]])
    ]
    return found


def test_the_role_may_use_its_bucket_and_no_other(tmp_path: Path) -> None:
    trust, may = documents("sweeps-of-mine", tmp_path)
    assert trust["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert [one["Resource"] for one in allowed(may, "s3:*")] == [
        ["arn:aws:s3:::sweeps-of-mine", "arn:aws:s3:::sweeps-of-mine/*"]
    ]
    assert [one["Resource"] for one in allowed(may, "iam:PassRole")] == ["arn:aws:iam::123456789012:role/leadline"]


def test_the_role_may_end_and_tag_machines_of_ray_only(tmp_path: Path) -> None:
    _, may = documents("sweeps-of-mine", tmp_path)
    assert {one["Effect"] for one in may["Statement"]} == {"Allow"}
    assert "ec2:*" not in json.dumps(may)
    rays = {"StringLike": {f"aws:ResourceTag/{TAG_RAY_CLUSTER_NAME}": "*"}}
    for action in ("TerminateInstances", "StopInstances", "StartInstances"):
        assert [one["Condition"] for one in allowed(may, f"ec2:{action}")] == [rays]
    new = {"StringEquals": {"ec2:CreateAction": "RunInstances"}}
    assert [one["Condition"] for one in allowed(may, "ec2:CreateTags")] == [new, rays]
    spot = {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}}
    assert [one["Condition"] for one in allowed(may, "iam:CreateServiceLinkedRole")] == [spot]


def test_with_the_role_alone_rays_provider_starts_tags_and_ends_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against moto, which looks at the actions and resources of a policy and knows too little of a
    request to judge the conditions.
    """
    _, may = documents("sweeps-of-mine", tmp_path)
    for statement in may["Statement"]:
        statement.pop("Condition", None)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with mock_aws():
        iam, ec2 = boto3.client("iam"), boto3.client("ec2")
        iam.create_user(UserName="head")
        iam.put_user_policy(UserName="head", PolicyName="leadline", PolicyDocument=json.dumps(may))
        key = iam.create_access_key(UserName="head")["AccessKey"]
        credentials = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        subnet, image = ec2.describe_subnets()["Subnets"][0]["SubnetId"], ec2.describe_images()["Images"][0]["ImageId"]
        worker = load("cluster.yaml")["available_node_types"]["l4"]["node_config"] | {
            "SubnetIds": [subnet],
            "ImageId": image,
        }
        del worker["IamInstanceProfile"]  # moto knows the profile by its ARN only
        config = load("cluster.yaml")["provider"] | {"aws_credentials": credentials}
        provider: Any = AWSNodeProvider(config, "leadline")  # type: ignore[no-untyped-call]
        with enable_iam_authentication():
            provider.create_node(worker, {"ray-node-kind": "worker"}, 1)
            nodes = provider.non_terminated_nodes({"ray-node-kind": "worker"})
            provider.set_node_tags(nodes[0], {"ray-node-status": "up-to-date"})
            provider.terminate_nodes(nodes)
            with pytest.raises(ClientError, match=r"AccessDenied|UnauthorizedOperation"):
                boto3.client("ec2", **credentials).create_key_pair(KeyName="another")
        assert len(nodes) == 1
        assert (
            ec2.describe_tags(Filters=[{"Name": "key", "Values": ["ray-node-status"]}])["Tags"][0]["Value"]
            == "up-to-date"
        )
