"""What a project declares an endpoint with: `el.Endpoint`, and what its configuration is made of."""

from __future__ import annotations

from everloop.serving.configuration import Configuration, Resources
from everloop.serving.entities import EndpointDeclaration, LogPolicy


def Endpoint(
    name: str,
    *,
    model: str = "",
    features: str = "",
    label_key: str = "",
    configuration: Configuration = Configuration(),
    resources: Resources = Resources(),
    log: LogPolicy = LogPolicy(),
) -> EndpointDeclaration:
    """An endpoint and how it answers; its model has the same name unless another is given.

    >>> Endpoint("late", configuration=Configuration(slo_ms=20)).model
    'late'
    """
    return EndpointDeclaration(name, model or name, features, label_key, configuration, resources, log)
