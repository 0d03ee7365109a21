"""Terraform for AWS: containers on ECS Fargate behind a load balancer, a SageMaker endpoint, or a Lambda function."""

from __future__ import annotations

import sys
from typing import Any

from everloop.kernel.errors import Refused
from everloop.packaging.manifests.container import READY, arguments
from everloop.packaging.manifests.entities import PORT, Release, Workload
from everloop.packaging.manifests.hcl import Block, Expression, value_text, written
from everloop.packaging.manifests.kubernetes import UTILIZATION
from everloop.packaging.manifests.names import label
from everloop.packaging.manifests.weights import WHOLE, reduced

Written = tuple[dict[str, str], tuple[str, ...]]
_FARGATE = ((256, 512, 2048), (512, 1024, 4096), (1024, 2048, 8192), (2048, 4096, 16384), (4096, 8192, 30720))
"""Thousand-and-twenty-fourths of a core, and the least and most MiB of memory that Fargate has them with."""
_LAMBDA_MEMORY = (128, 10_240)
_TARGET_GROUP_NAME = 32


def ecs(workload: Workload) -> Written:
    """ECS Fargate: a service for each release, and a load balancer that divides the traffic.

    Raises:
        Refused: no task of Fargate is large enough, or a release is a shadow.
    """
    _no_shadow(workload, "A load balancer")
    if workload.size.gpu:
        raise Refused("Fargate has no GPUs.", hint="Use --kind sagemaker.")
    blocks = [
        *_head(workload),
        _variable("vpc_id", "string", "The network."),
        _variable("subnets", "list(string)", "Subnets in two zones at least."),
        _variable("callers", "list(string)", "The networks that may ask, such as 10.0.0.0/8."),
        Block("data", ("aws_region", "this")),
        *_cluster(workload),
        *_balancer(workload),
        *(block for release in workload.releases for block in _task(workload, release)),
        Block("output", ("url",), {"value": Expression('"http://${aws_lb.this.dns_name}"')}),
    ]
    return {"main.tf": written(*blocks)}, (
        "The load balancer is reached from your own network only, over HTTP: add a certificate and an HTTPS listener.",
    )


def sagemaker(workload: Workload) -> Written:
    """SageMaker: an endpoint with a variant for each release."""
    variants = [_variant(workload, release) for release in workload.releases]
    models = [_sagemaker_model(release) for release in workload.releases]
    configuration = Block(
        "resource",
        ("aws_sagemaker_endpoint_configuration", "this"),
        {"name_prefix": f"{workload.name}-"},
        (*variants, Block("lifecycle", (), {"create_before_destroy": True})),
    )
    endpoint = Block(
        "resource",
        ("aws_sagemaker_endpoint", "this"),
        {
            "name": workload.name,
            "endpoint_config_name": Expression("aws_sagemaker_endpoint_configuration.this.name"),
        },
    )
    role = _role("sagemaker.amazonaws.com", "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")
    return {"main.tf": written(*_head(workload), *role, *models, configuration, endpoint)}, (
        "Images must be in ECR, in the form that SageMaker asks for: everloop package MODEL --form sagemaker.",
    )


def function(workload: Workload) -> Written:
    """Lambda: a function with a URL of its own.

    Raises:
        Refused: there is more than one release, or it needs more than a function can have.
    """
    release = workload.stable
    if len(workload.releases) > 1:
        raise Refused("A function holds one version.", hint="Use --kind ecs, or deploy one version: MODEL@VERSION.")
    least, most = _LAMBDA_MEMORY
    if workload.size.memory_limit > most or workload.size.gpu:
        raise Refused("Lambda has no GPUs and at most 10 GiB of memory.", hint="Use --kind ecs or sagemaker.")
    blocks = [
        *_head(workload),
        _variable("package", "string", "The zip that everloop package MODEL --form lambda wrote."),
        *_role("lambda.amazonaws.com", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"),
        Block(
            "resource",
            ("aws_lambda_function", "this"),
            {
                "function_name": workload.name,
                "role": Expression("aws_iam_role.this.arn"),
                "filename": Expression("var.package"),
                "source_code_hash": Expression("filebase64sha256(var.package)"),
                "handler": "everloop.server.inference.awslambda.handler",
                "runtime": f"python3.{sys.version_info.minor}",
                # A function has a core for each 1,769 MiB.
                "memory_size": min(most, max(least, workload.size.memory_limit, workload.size.cpu * 1769 // 1000)),
                "timeout": 30,
                "tags": _tags(release),
            },
        ),
        Block(
            "resource",
            ("aws_lambda_function_url", "this"),
            {
                "function_name": Expression("aws_lambda_function.this.function_name"),
                "authorization_type": "AWS_IAM",
            },
        ),
        Block("output", ("url",), {"value": Expression("aws_lambda_function_url.this.function_url")}),
    ]
    return {"main.tf": written(*blocks)}, ("Callers sign their requests (AWS_IAM).",)


def fargate_size(cpu: int, memory: int) -> tuple[int, int]:
    """The smallest task that holds so many thousandths of a core and MiB.

    Raises:
        Refused: there is none.
    """
    for units, least, most in _FARGATE:
        if units * 1000 >= cpu * 1024 and memory <= most:
            step = 512 if least == 512 and memory <= 1024 else 1024
            return units, max(least, -(-memory // step) * step)
    raise Refused(f"Fargate has no task with {cpu}m cores and {memory} MiB.", hint="Use --kind sagemaker.")


def _head(workload: Workload) -> list[Block]:
    aws = {"source": "hashicorp/aws", "version": ">= 5.60"}
    region = {"region": workload.placement.region} if workload.placement.region else {}
    return [
        Block("terraform", (), {"required_version": ">= 1.5"}, (Block("required_providers", (), {"aws": aws}),)),
        Block("provider", ("aws",), region),
    ]


def _variable(name: str, type: str, description: str) -> Block:
    return Block("variable", (name,), {"type": Expression(type), "description": description})


def _cluster(workload: Workload) -> list[Block]:
    inside = {"protocol": "tcp", "security_groups": [Expression("aws_security_group.balancer.id")]}
    outside: dict[str, Any] = {"protocol": "tcp", "cidr_blocks": Expression("var.callers")}
    everywhere = Block("egress", (), {"from_port": 0, "to_port": 0, "protocol": "-1", "cidr_blocks": ["0.0.0.0/0"]})
    return [
        *_role("ecs-tasks.amazonaws.com", "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"),
        Block("resource", ("aws_ecs_cluster", "this"), {"name": workload.name}),
        Block(
            "resource",
            ("aws_cloudwatch_log_group", "this"),
            {"name": f"/everloop/{workload.name}", "retention_in_days": 30},
        ),
        _security_group("balancer", Block("ingress", (), {"from_port": 80, "to_port": 80} | outside), everywhere),
        _security_group("tasks", Block("ingress", (), {"from_port": PORT, "to_port": PORT} | inside), everywhere),
    ]


def _security_group(name: str, *rules: Block) -> Block:
    arguments = {"name_prefix": f"{name}-", "vpc_id": Expression("var.vpc_id")}
    return Block("resource", ("aws_security_group", name), arguments, rules)


def _balancer(workload: Workload) -> list[Block]:
    balancer = {
        "name_prefix": "model-",
        "internal": True,
        "load_balancer_type": "application",
        "security_groups": [Expression("aws_security_group.balancer.id")],
        "subnets": Expression("var.subnets"),
    }
    # A load balancer takes weights up to 999, which keeps shares to a thousandth.
    weights = [round(weight * 999 / WHOLE) for weight in (release.weight for release in workload.answering)]
    exact = reduced([release.weight for release in workload.answering])
    weights = exact if max(exact) <= 999 else weights
    targets = [
        Block(
            "target_group",
            (),
            {"arn": Expression(f"aws_lb_target_group.{_identifier(release)}.arn"), "weight": weight},
        )
        for release, weight in zip(workload.answering, weights, strict=True)
    ]
    action = Block("default_action", (), {"type": "forward"}, (Block("forward", (), {}, tuple(targets)),))
    listener = {"load_balancer_arn": Expression("aws_lb.this.arn"), "port": 80, "protocol": "HTTP"}
    return [
        Block("resource", ("aws_lb", "this"), balancer),
        Block("resource", ("aws_lb_listener", "this"), listener, (action,)),
        *(_target_group(release) for release in workload.answering),
    ]


def _target_group(release: Release) -> Block:
    arguments = {
        "name": label(release.name, _TARGET_GROUP_NAME),
        "port": PORT,
        "protocol": "HTTP",
        "target_type": "ip",
        "vpc_id": Expression("var.vpc_id"),
        "deregistration_delay": 15,
    }
    check = {"path": READY, "interval": 10, "healthy_threshold": 2}
    labels = ("aws_lb_target_group", _identifier(release))
    return Block("resource", labels, arguments, (Block("health_check", (), check),))


def _task(workload: Workload, release: Release) -> list[Block]:
    units, memory = fargate_size(workload.size.cpu_limit, workload.size.memory_limit)
    name = _identifier(release)
    definition = {
        "family": release.name,
        "requires_compatibilities": ["FARGATE"],
        "network_mode": "awsvpc",
        "cpu": units,
        "memory": memory,
        "execution_role_arn": Expression("aws_iam_role.this.arn"),
        "container_definitions": Expression(f"jsonencode({_definition_text(workload, release)})"),
        "tags": _tags(release),
    }
    network = {
        "subnets": Expression("var.subnets"),
        "security_groups": [Expression("aws_security_group.tasks.id")],
        "assign_public_ip": True,
    }
    target = {
        "target_group_arn": Expression(f"aws_lb_target_group.{name}.arn"),
        "container_name": "model",
        "container_port": PORT,
    }
    service = {
        "name": release.name,
        "cluster": Expression("aws_ecs_cluster.this.id"),
        "task_definition": Expression(f"aws_ecs_task_definition.{name}.arn"),
        "desired_count": workload.size.replicas,
        "launch_type": "FARGATE",
        "depends_on": [Expression("aws_lb_listener.this")],
    }
    volume = Block("volume", (), {"name": "scratch"})
    inside = (
        Block("network_configuration", (), network),
        Block("load_balancer", (), target),
        Block("lifecycle", (), {"ignore_changes": [Expression("desired_count")]}),
    )
    return [
        Block("resource", ("aws_ecs_task_definition", name), definition, (volume,)),
        Block("resource", ("aws_ecs_service", name), service, inside),
        *_scaling(workload, name),
    ]


def _scaling(workload: Workload, name: str) -> list[Block]:
    target = {
        "service_namespace": "ecs",
        "resource_id": Expression(f'"service/${{aws_ecs_cluster.this.name}}/${{aws_ecs_service.{name}.name}}"'),
        "scalable_dimension": "ecs:service:DesiredCount",
        "min_capacity": workload.size.replicas,
        "max_capacity": workload.size.most,
    }
    reference = f"aws_appautoscaling_target.{name}"
    policy = {
        "name": "cpu",
        "policy_type": "TargetTrackingScaling",
        **{key: Expression(f"{reference}.{key}") for key in ("service_namespace", "resource_id", "scalable_dimension")},
    }
    metric = {"predefined_metric_type": "ECSServiceAverageCPUUtilization"}
    tracking = Block(
        "target_tracking_scaling_policy_configuration",
        (),
        {"target_value": UTILIZATION},
        (Block("predefined_metric_specification", (), metric),),
    )
    return [
        Block("resource", ("aws_appautoscaling_target", name), target),
        Block("resource", ("aws_appautoscaling_policy", name), policy, (tracking,)),
    ]


def _definition_text(workload: Workload, release: Release) -> str:
    """The container as the text of an HCL list, which Terraform turns into the JSON that ECS takes."""
    logs = {
        "awslogs-group": Expression("aws_cloudwatch_log_group.this.name"),
        "awslogs-region": Expression("data.aws_region.this.name"),
        "awslogs-stream-prefix": "model",
    }
    container = {
        "name": "model",
        "image": release.image,
        "essential": True,
        "readonlyRootFilesystem": True,
        "portMappings": [{"containerPort": PORT}],
        "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/tmp"}],
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
        "logConfiguration": {"logDriver": "awslogs", "options": logs},
    }
    command = arguments(workload, release)
    return value_text([container | ({"command": command} if command else {})], "  ")


def _variant(workload: Workload, release: Release) -> Block:
    arguments = {
        "variant_name": release.name,
        "model_name": Expression(f"aws_sagemaker_model.{_identifier(release)}.name"),
        "instance_type": _instance(workload),
        "initial_instance_count": workload.size.replicas,
        "initial_variant_weight": release.weight / WHOLE,
    }
    return Block("shadow_production_variants" if release.role == "shadow" else "production_variants", (), arguments)


def _sagemaker_model(release: Release) -> Block:
    arguments = {
        "name": release.name,
        "execution_role_arn": Expression("aws_iam_role.this.arn"),
        "enable_network_isolation": True,
        "tags": _tags(release),
    }
    container = Block("primary_container", (), {"image": release.image})
    return Block("resource", ("aws_sagemaker_model", _identifier(release)), arguments, (container,))


def _instance(workload: Workload) -> str:
    """The smallest instance that holds a replica."""
    size = workload.size
    if size.gpu:
        return "ml.g5.xlarge" if size.gpu == 1 else "ml.g5.12xlarge" if size.gpu <= 4 else "ml.g5.48xlarge"
    for name, cores, memory in (("large", 2, 4), ("xlarge", 4, 8), ("2xlarge", 8, 16), ("4xlarge", 16, 32)):
        if size.cpu_limit <= cores * 1000 and size.memory_limit <= memory * 1024 - 512:
            return f"ml.c6i.{name}"
    return "ml.r6i.4xlarge"


def _role(service: str, policy: str) -> list[Block]:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    trust = f"jsonencode({value_text({'Version': '2012-10-17', 'Statement': [statement]}, '  ')})"
    attached = {"role": Expression("aws_iam_role.this.name"), "policy_arn": policy}
    return [
        Block("resource", ("aws_iam_role", "this"), {"name_prefix": "model-", "assume_role_policy": Expression(trust)}),
        Block("resource", ("aws_iam_role_policy_attachment", "this"), attached),
    ]


def _tags(release: Release) -> dict[str, str]:
    return {"everloop-model": f"{release.model}-{release.version}", "everloop-digest": str(release.digest)}


def _identifier(release: Release) -> str:
    return release.name.replace("-", "_")


def _no_shadow(workload: Workload, what: str) -> None:
    if len(workload.answering) < len(workload.releases):
        raise Refused(f"{what} copies no requests for a shadow.", hint="Use --kind kubernetes or sagemaker.")
