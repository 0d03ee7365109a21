"""SageMaker, Vertex AI, Azure ML: how each starts the image, and the files that each wants beside it."""

from __future__ import annotations

from everloop.catalog.session import Session
from everloop.packaging import contents as held
from everloop.packaging.contents import Contents
from everloop.packaging.entities import Form
from everloop.packaging.image.config import FOLDER, PORT, Start
from everloop.packaging.image.layers import File, layer_bytes

_STARTS: dict[str, Start] = {
    "image": Start(("--host", "0.0.0.0", "--port", str(PORT))),  # It asks for EVERLOOP_TOKEN or --open.
    "sagemaker": Start(("serve",)),
    "vertex": Start((), {"AIP_HTTP_PORT": str(PORT), "AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/predict"}),
    "azureml": Start((), {"AZUREML_MODEL_DIR": f"/{FOLDER}"}),
}
_SAGEMAKER = """\
# aws s3 cp model.tar.gz s3://BUCKET/{name}/ && aws cloudformation deploy --template-file sagemaker.yaml …
AWSTemplateFormatVersion: "2010-09-09"
Description: "Model {model}, version {version}"
Parameters:
  Image: {{Type: String, Description: The image as it was pushed to ECR}}
  ModelData: {{Type: String, Description: Where model.tar.gz lies in S3}}
  Role: {{Type: String}}
Resources:
  Model:
    Type: AWS::SageMaker::Model
    Properties:
      ExecutionRoleArn: !Ref Role
      EnableNetworkIsolation: true
      PrimaryContainer: {{Image: !Ref Image, ModelDataUrl: !Ref ModelData}}
  Configuration:
    Type: AWS::SageMaker::EndpointConfig
    Properties:
      ProductionVariants:
        - ModelName: !GetAtt Model.ModelName
          VariantName: all
          InitialInstanceCount: 1
          InitialVariantWeight: 1
          InstanceType: ml.c6i.large
  Endpoint:
    Type: AWS::SageMaker::Endpoint
    Properties: {{EndpointConfigName: !GetAtt Configuration.EndpointConfigName}}
"""
_VERTEX = """\
# gcloud ai models upload --region=REGION --flags-file=vertex.yaml
--display-name: "{name}"
--container-image-uri: IMAGE
--container-ports: "{port}"
--container-health-route: /health
--container-predict-route: /predict
--version-aliases: "v{version}"
"""
_AZURE_ENVIRONMENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json
name: "{name}"
version: "{version}"
image: IMAGE
inference_config:
  liveness_route: {{port: {port}, path: /}}
  readiness_route: {{port: {port}, path: /}}
  scoring_route: {{port: {port}, path: /score}}
"""
_AZURE_DEPLOYMENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: "v{version}"
endpoint_name: "{name}"
environment: "azureml:{name}:{version}"
instance_type: Standard_DS2_v2
instance_count: 1
liveness_probe: {{initial_delay: 5, period: 10}}
readiness_probe: {{initial_delay: 1, period: 5}}
"""


def start_of(form: Form) -> Start:
    """How an image of this form is started."""
    return _STARTS[form]


def files_for(session: Session, contents: Contents, form: Form) -> dict[str, bytes]:
    """What the cloud of a form wants beside the image."""
    manifest = contents.manifest
    name = manifest.model.lower().replace("_", "-").replace(".", "-")
    filled = {"model": manifest.model, "version": manifest.version, "name": name, "port": PORT}
    if form == "sagemaker":
        packed = held.files_of(session, manifest, contents.papers)
        archive = layer_bytes({path: File(data) for path, data in packed.items()})
        return {"model.tar.gz": archive, "sagemaker.yaml": _SAGEMAKER.format(**filled).encode()}
    if form == "vertex":
        return {"vertex.yaml": _VERTEX.format(**filled).encode()}
    if form == "azureml":
        environment, deployment = _AZURE_ENVIRONMENT.format(**filled), _AZURE_DEPLOYMENT.format(**filled)
        return {"environment.yaml": environment.encode(), "deployment.yaml": deployment.encode()}
    return {}
