"""Kubernetes: the manifest that serves a registered version."""

from __future__ import annotations

import re
from importlib.metadata import version as installed

from everloop.registry.entities import ModelVersion

PORT = 8080
_TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: "{name}"
  labels: &labels
    app.kubernetes.io/name: "{name}"
    app.kubernetes.io/version: "{version}"
    app.kubernetes.io/managed-by: everloop
  annotations:
    everloop/model-digest: "{digest}"
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: "{name}"
  template:
    metadata:
      labels: *labels
    spec:
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: model
          image: "{image}"
          args: ["everloop", "serve", "models:/{model}/{version}", "--port", "{port}"]
          env:
            - name: EVERLOOP_HOST
              value: "0.0.0.0"
            - name: EVERLOOP_AUTHENTICATION
              value: required
            - name: NAMESPACE
              valueFrom:
                fieldRef:
                  fieldPath: metadata.namespace
            - name: EVERLOOP_ALLOWED_HOSTS
              value: "{name},{name}.$(NAMESPACE),{name}.$(NAMESPACE).svc,{name}.$(NAMESPACE).svc.cluster.local"
            - name: EVERLOOP_HOME
              value: /tmp/everloop
          envFrom:
            - secretRef:
                name: everloop
          ports:
            - name: http
              containerPort: {port}
          readinessProbe:
            httpGet:
              path: /readyz
              port: http
          livenessProbe:
            httpGet:
              path: /healthz
              port: http
          resources:
            requests:
              cpu: 250m
              memory: 256Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: ["ALL"]
          volumeMounts:
            - name: scratch
              mountPath: /tmp
      volumes:
        - name: scratch
          emptyDir: {{}}
---
apiVersion: v1
kind: Service
metadata:
  name: "{name}"
spec:
  selector:
    app.kubernetes.io/name: "{name}"
  ports:
    - name: http
      port: 80
      targetPort: http
"""


def rendered(version: ModelVersion, image: str) -> str:
    """A Deployment and a Service as YAML.

    The secret `everloop` has EVERLOOP_DATABASE_URL and EVERLOOP_STORE_URL; the image brings Everloop and the flavor.
    Callers show a token, which must have been made before (everloop tokens create), and use the Service's name.
    """
    return _TEMPLATE.format(
        name=label(f"{version.model}-{version.version}"),
        model=version.model,
        version=version.version,
        digest=version.trained.digest,
        image=image or f"everloop:{installed('everloop')}",
        port=PORT,
    )


def label(name: str) -> str:
    """A name as Kubernetes takes it: at most 63 small letters, digits and dashes, beginning with a letter.

    >>> label("Late_Flights-3")
    'late-flights-3'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    plain = plain if plain[:1].isalpha() else f"m-{plain}"
    return plain if len(plain) <= 63 else f"{plain[:40].rstrip('-')}-{plain[-20:].lstrip('-')}"
